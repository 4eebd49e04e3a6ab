# Completes batonctl's command lines in fish; from `batonctl completion fish`.
function __batonctl_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    $program __complete $words (commandline -ct) 2>/dev/null
end
complete -c batonctl -f -a '(__batonctl_complete | string match -v ":*")'
complete -c batonctl -n '__batonctl_complete | string match -qr "^:"' -F
