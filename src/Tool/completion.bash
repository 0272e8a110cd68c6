# bash completion of vmshunt: source <(vmshunt completion bash)
# vmshunt names what may come next; after host, hypervisor, guest and machine that program does.
_vmshunt()
{
    local asked=("${COMP_WORDS[0]}") text=$COMP_LINE point=$COMP_POINT word=${COMP_WORDS[COMP_CWORD]} line
    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} =~ ^(host|hypervisor|guest|machine)$ ]]; then
        # The program sees "vmshunt-host --d" for "vmshunt host --d".
        asked+=("${COMP_WORDS[1]}")
        text="vmshunt-${COMP_WORDS[1]}${COMP_LINE#*" ${COMP_WORDS[1]}"}"
        point=$((COMP_POINT + ${#text} - ${#COMP_LINE}))
    fi
    COMPREPLY=()
    while IFS= read -r line; do
        # Options once a word begins with "-"; their forms with "/" are not for Linux.
        [[ $line == /* || ( -z $word && $line == -* ) || $line != "$word"* ]] || COMPREPLY+=("$line")
    done < <("${asked[@]}" "[suggest:$point]" "$text" 2>/dev/null)
}
complete -o default -F _vmshunt vmshunt
