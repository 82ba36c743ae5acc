# shellcheck shell=bash
# What bash completes of sallyport(8): commands, options, and of values those that can be known: words of a choice, files, folders
# and the tenants of the settings that --config names. What each command takes is made from what its --help says, by
# test/e2e/test_completion.py, which fails where the two differ. Installed as share/bash-completion/completions/sallyport.

# What a command takes, in order: --option, --option=VALUE, a word's VALUE, VALUE... for any number of words. A VALUE is FILE, DIR,
# TENANT, a choice a|b, or - for what nobody can complete. Sets takes; returns 1 if there is no such command.
_sallyport_takes() {
	case $1 in
	# completion: begin
	'') takes='audit|check|detect|directory|dkim|explain|keys|policy|posture|preference|probe|providers|queue|serve|settings|status|suppression|tenant|tlsrpt|trace|upgrade|--help|--version' ;;
	'audit') takes='address|facts|find|prove|reveal|show|status|verify --help' ;;
	'check') takes='--config=FILE --help --json' ;;
	'detect') takes='FILE... --help --json --lines --own=FILE --redact --text' ;;
	'directory') takes='import|list|refresh --help' ;;
	'dkim') takes='check|dns|keygen --help' ;;
	'explain') takes='--config=FILE --fact=- --from=- --header=- --help --json --kind=- --live --message=FILE --phi-class=- --phi-score=- --phi-special=- --policy=FILE --preference=- --scan=- --sealed=- --size=- --subject=- --tenant=TENANT --to=-' ;;
	'keys') takes='import|list|remove|rotate|show --help' ;;
	'policy') takes='abort|approve|check|describe|diff|explain|format|history|keep|list|promote|proposals|publish|replay|report|rollback|status|test --help' ;;
	'posture') takes='accept|forget|list|show --help' ;;
	'preference') takes='list|remove|set|show --help' ;;
	'probe') takes='- --config=FILE --help --json --sender=- --socket=FILE' ;;
	'providers') takes='list|refresh --help' ;;
	'queue') takes='backup|check|count|delete|drain|freeze|hold|list|orders|recall|redirect|release|repair|restore|resume|retry|show|sites|thaw --help' ;;
	'serve') takes='--config=FILE --help' ;;
	'settings') takes='--help --json' ;;
	'status') takes='--config=FILE --help --json --socket=FILE' ;;
	'suppression') takes='add|list|remove --help' ;;
	'tenant') takes='add|check|list|show --help' ;;
	'tlsrpt') takes='show --help' ;;
	'trace') takes='- --config=FILE --help --json --network-message-id=- --socket=FILE' ;;
	'upgrade') takes='--config=FILE --help --json --socket=FILE' ;;
	'audit address') takes='- --config=FILE --help --json --socket=FILE' ;;
	'audit facts') takes='- --config=FILE --help --json --output=FILE --socket=FILE' ;;
	'audit find') takes='- FILE --config=FILE --help --json --socket=FILE' ;;
	'audit prove') takes='- --config=FILE --help --json --output=FILE --socket=FILE' ;;
	'audit reveal') takes='- --config=FILE --help --json --reason=- --socket=FILE' ;;
	'audit show') takes='- --config=FILE --help --json --socket=FILE' ;;
	'audit status') takes='--config=FILE --help --json --socket=FILE' ;;
	'audit verify') takes='FILE... --config=FILE --head=FILE --help --json --key=FILE' ;;
	'detect index') takes='FILE FILE --help --json' ;;
	'directory import') takes='FILE --check --config=FILE --force --help --json --list=-' ;;
	'directory list') takes='- --config=FILE --help --json' ;;
	'directory refresh') takes='- --check --config=FILE --force --help --json' ;;
	'dkim check') takes='TENANT --config=FILE --help --json' ;;
	'dkim dns') takes='TENANT --config=FILE --help --json' ;;
	'dkim keygen') takes='TENANT --bits=2048|3072|4096 --config=FILE --help --json' ;;
	'keys import') takes='FILE --config=FILE --help --json --no-pin --reason=- --socket=FILE' ;;
	'keys list') takes='- --config=FILE --help --json --socket=FILE' ;;
	'keys remove') takes='- --config=FILE --help --json --reason=- --socket=FILE' ;;
	'keys rotate') takes='--config=FILE --help --json --master --next=FILE' ;;
	'keys show') takes='- --config=FILE --help --json --reason=- --socket=FILE' ;;
	'policy abort') takes='--config=FILE --help --json --reason=-' ;;
	'policy approve') takes='- --config=FILE --help --json --reason=- --socket=FILE' ;;
	'policy check') takes='FILE... --help --json' ;;
	'policy describe') takes='FILE --help --json' ;;
	'policy diff') takes='FILE FILE --help --json' ;;
	'policy explain') takes='--config=FILE --fact=- --from=- --header=- --help --json --kind=- --live --message=FILE --phi-class=- --phi-score=- --phi-special=- --policy=FILE --preference=- --scan=- --sealed=- --size=- --subject=- --tenant=TENANT --to=-' ;;
	'policy format') takes='FILE... --check --help --json --stdout' ;;
	'policy history') takes='--config=FILE --help --json' ;;
	'policy keep') takes='--config=FILE --help --json' ;;
	'policy list') takes='FILE --help --json --lists --lowers --plain --rules' ;;
	'policy promote') takes='--approved-by=- --config=FILE --help --json --reason=- --stage=-' ;;
	'policy proposals') takes='--config=FILE --help --json --socket=FILE' ;;
	'policy publish') takes='FILE --approved-by=- --config=FILE --dry-run --help --json --reason=- --stage=shadow|full' ;;
	'policy replay') takes='--config=FILE --days=- --draft=FILE --help --json --message=-' ;;
	'policy report') takes='--config=FILE --days=- --help --json' ;;
	'policy rollback') takes='- --approved-by=- --config=FILE --help --json --reason=-' ;;
	'policy status') takes='--config=FILE --help --json' ;;
	'policy test') takes='FILE... --help --json' ;;
	'posture accept') takes='- - --config=FILE --help --json --reason=- --socket=FILE' ;;
	'posture forget') takes='- --config=FILE --help --json --reason=- --socket=FILE' ;;
	'posture list') takes='- --config=FILE --help --json --socket=FILE' ;;
	'posture show') takes='- --config=FILE --help --json --socket=FILE' ;;
	'preference list') takes='- --config=FILE --help --json --offline' ;;
	'preference remove') takes='- --config=FILE --help --json --offline --own --reason=-' ;;
	'preference set') takes='- plain|tls|sealed|portal|no-mail --by=- --config=FILE --given=- --help --json --offline --until=- --warning=-' ;;
	'preference show') takes='- --config=FILE --help --json --offline' ;;
	'providers list') takes='- --config=FILE --help --json' ;;
	'providers refresh') takes='- --config=FILE --force --help --json' ;;
	'queue backup') takes='DIR --config=FILE --help --json' ;;
	'queue check') takes='--config=FILE --help --json --state=DIR' ;;
	'queue count') takes='- --by=site|tenant|reason|state --config=FILE --help --host=- --json --limit=- --recipient=- --rule=- --sender=- --site=- --socket=FILE --state=pending|deferred|held|in-delivery|frozen|quarantined --tenant=TENANT' ;;
	'queue delete') takes='- --config=FILE --dry-run --help --host=- --json --limit=- --n=- --reason=- --recipient=- --rule=- --sender=- --site=- --socket=FILE --state=pending|deferred|held|in-delivery|frozen|quarantined --tenant=TENANT' ;;
	'queue drain') takes='--config=FILE --help --json --reason=- --socket=FILE' ;;
	'queue freeze') takes='--config=FILE --help --host=- --json --reason=- --site=- --socket=FILE --tenant=TENANT' ;;
	'queue hold') takes='- --config=FILE --dry-run --help --host=- --json --limit=- --n=- --reason=- --recipient=- --rule=- --sender=- --site=- --socket=FILE --state=pending|deferred|held|in-delivery|frozen|quarantined --tenant=TENANT --until=-' ;;
	'queue list') takes='- --config=FILE --help --host=- --json --limit=- --recipient=- --rule=- --sender=- --site=- --socket=FILE --state=pending|deferred|held|in-delivery|frozen|quarantined --tenant=TENANT' ;;
	'queue orders') takes='--config=FILE --help --json --socket=FILE' ;;
	'queue recall') takes='- --config=FILE --dry-run --help --json --reason=- --socket=FILE' ;;
	'queue redirect') takes='- --config=FILE --dry-run --help --host=- --json --limit=- --n=- --reason=- --recipient=- --route=- --rule=- --sender=- --site=- --socket=FILE --state=pending|deferred|held|in-delivery|frozen|quarantined --tenant=TENANT --to=-' ;;
	'queue release') takes='- --config=FILE --dry-run --help --host=- --json --limit=- --n=- --reason=- --recipient=- --rule=- --sender=- --site=- --socket=FILE --state=pending|deferred|held|in-delivery|frozen|quarantined --tenant=TENANT' ;;
	'queue repair') takes='--config=FILE --help --json --reason=- --yes' ;;
	'queue restore') takes='DIR --config=FILE --help --json' ;;
	'queue resume') takes='--config=FILE --help --json --reason=- --socket=FILE' ;;
	'queue retry') takes='- --config=FILE --dry-run --help --host=- --json --limit=- --n=- --now --reason=- --recipient=- --rule=- --sender=- --site=- --socket=FILE --state=pending|deferred|held|in-delivery|frozen|quarantined --tenant=TENANT' ;;
	'queue show') takes='- --config=FILE --help --json --socket=FILE' ;;
	'queue sites') takes='--config=FILE --help --json --socket=FILE' ;;
	'queue thaw') takes='--config=FILE --help --host=- --json --reason=- --site=- --socket=FILE --tenant=TENANT' ;;
	'suppression add') takes='- --config=FILE --help --json --reason=- --socket=FILE' ;;
	'suppression list') takes='- --config=FILE --help --json --socket=FILE' ;;
	'suppression remove') takes='- --config=FILE --help --json --reason=- --socket=FILE' ;;
	'tenant add') takes='- --config=FILE --google=- --help --json --m365=- --onmicrosoft=- --tenant-id=-' ;;
	'tenant check') takes='TENANT --config=FILE --door=- --help --json --wait=-' ;;
	'tenant list') takes='--config=FILE --help --json' ;;
	'tenant show') takes='TENANT --config=FILE --help --json' ;;
	'tlsrpt show') takes='- --config=FILE --day=- --help --json --socket=FILE' ;;
	# completion: end
	*) return 1 ;;
	esac
}

# The tenants that this user may read of, of the settings that the line names.
_sallyport_tenants() {
	local program=$1 config='' one
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--config=*) config=${1#*=} ;;
		--config | -c) config=${2-} ;;
		esac
		shift
	done
	while read -r one _; do
		printf '%s\n' "$one"
	done < <("$program" tenant list ${config:+--config "$config"} 2>/dev/null </dev/null)
}

# Offers what a VALUE may be. $1: it, $2: what of it is typed, $3: what stands before that in the same word, then the line
_sallyport_offer() {
	local value=$1 typed=$2 before=$3 one
	shift 3
	case $value in
	- | '') return ;;
	FILE | DIR)
		if [ -z "$before" ] && [ "$value" = FILE ] && compopt -o default 2>/dev/null; then
			return # bash's own, which knows quotes and ~
		fi
		compopt -o filenames 2>/dev/null
		[ "$value" = FILE ] && value=-f || value=-d
		while IFS= read -r one; do
			COMPREPLY+=("$before$one")
		done < <(compgen "$value" -- "$typed")
		return
		;;
	TENANT) value=$(_sallyport_tenants "$@") ;;
	esac
	while IFS= read -r one; do
		COMPREPLY+=("$before$one")
	done < <(compgen -W "${value//|/ }" -- "$typed")
}

# Which VALUE the word at the cursor is, of the words that stand before it (without options and their values).
_sallyport_word() {
	local count=$1 one
	for one in $takes; do
		case $one in
		--*) continue ;;
		*...) printf '%s' "${one%...}" && return ;;
		esac
		[ "$count" -gt 0 ] || { printf '%s' "$one" && return; }
		count=$((count - 1))
	done
}

# VALUE of an option that has one, "" of one that has none or is not of this command.
_sallyport_value() {
	local one
	for one in $takes; do
		case $one in
		"$1="*) printf '%s' "${one#*=}" && return ;;
		esac
	done
	case $1 in
	-c) printf FILE ;;
	esac
}

_sallyport_complete() {
	local words=() current=0 i takes='' first count=0 one cur before='' value
	# "--name=value" comes as three words where "=" parts words
	for ((i = 0; i <= COMP_CWORD; i++)); do
		one=${COMP_WORDS[i]}
		if [ ${#words[@]} -gt 0 ] && [[ ${words[current]} == --* ]] &&
			{ [ "$one" = = ] || [[ $i -gt 1 && ${COMP_WORDS[i - 1]} == = && ${words[current]} == --*= ]]; }; then
			words[current]+=$one
			continue
		fi
		words+=("$one")
		current=$((${#words[@]} - 1))
	done
	cur=${words[current]}
	COMPREPLY=()
	if [ "$current" -le 1 ]; then
		_sallyport_takes '' && _sallyport_offer "$takes" "$cur" ''
		return
	fi
	if [ "$current" -gt 2 ] && _sallyport_takes "${words[1]} ${words[2]}"; then
		first=3
	else
		first=2
		_sallyport_takes "${words[1]}" || return
	fi
	for ((i = first; i < current; i++)); do
		case ${words[i]} in
		--*=*) ;;
		-?*)
			if [ -n "$(_sallyport_value "${words[i]}")" ]; then
				i=$((i + 1))
				[ "$i" -lt "$current" ] || {
					_sallyport_offer "$(_sallyport_value "${words[i - 1]}")" "$cur" '' "${words[@]}"
					return
				}
			fi
			;;
		*) count=$((count + 1)) ;;
		esac
	done
	case $cur in
	--*=*)
		value=$(_sallyport_value "${cur%%=*}")
		[[ ${COMP_WORDS[COMP_CWORD]} != --*=* ]] || before=${cur%%=*}=
		_sallyport_offer "$value" "${cur#*=}" "$before" "${words[@]}"
		;;
	-*)
		for one in $takes; do
			case $one in
			"$cur"*) COMPREPLY+=("${one%%=*}") ;;
			esac
		done
		;;
	*) _sallyport_offer "$(_sallyport_word "$count")" "$cur" '' "${words[@]}" ;;
	esac
}

complete -F _sallyport_complete sallyport
