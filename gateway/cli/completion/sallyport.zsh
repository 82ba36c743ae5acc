#compdef sallyport
# zsh completes what bash does, by bash's own script, which lies in share/bash-completion/completions beside this one's share/zsh.
autoload -Uz bashcompinit && bashcompinit
source ${functions_source[_sallyport]:A:h:h:h}/bash-completion/completions/sallyport
_bash_complete -o default -F _sallyport_complete
