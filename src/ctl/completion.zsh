#compdef batonctl
# Completes batonctl's command lines in zsh; from `batonctl completion zsh`.
_batonctl() {
    local line
    local -a found
    for line in "${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            :files) _files ;;
            ?*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
        esac
    done
    (( ${#found} )) && _describe batonctl found
}
if [[ ${funcstack[1]} == _batonctl ]]; then
    _batonctl "$@"
else
    compdef _batonctl batonctl
fi
