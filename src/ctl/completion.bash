# Completes batonctl's command lines in bash; from `batonctl completion bash`.
# shellcheck shell=bash
_batonctl() {
    local line files=""
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) files=yes ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ -n $files ]]; then
        compopt -o filenames
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$2")
    fi
}
complete -F _batonctl batonctl
