# Completes batonctl's command lines in bash; from `batonctl completion bash`.
# shellcheck shell=bash
_batonctl() {
    local line paths=""
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files) paths=-f ;;
            :directories) paths=-d ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ -n $paths ]]; then
        compopt -o filenames
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$paths" -- "$2")
    fi
}
complete -F _batonctl batonctl
