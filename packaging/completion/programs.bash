# bash completion of vmshunt-host and vmshunt-hypervisor: each program names its own options.
_vmshunt_program()
{
    local word=${COMP_WORDS[COMP_CWORD]} line
    COMPREPLY=()
    while IFS= read -r line; do
        # Options once a word begins with "-"; their forms with "/" are not for Linux.
        [[ $line == /* || ( -z $word && $line == -* ) || $line != "$word"* ]] || COMPREPLY+=("$line")
    done < <("${COMP_WORDS[0]}" "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null)
}
complete -o default -F _vmshunt_program vmshunt-host vmshunt-hypervisor
