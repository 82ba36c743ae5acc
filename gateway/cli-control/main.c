/*
 * `sallyport queue`, `keys`, `audit prove|show|status`, `posture` and `status`: options, and where the control socket is. What an administrator does
 * is recorded with the user id that the kernel tells and the reason given here.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: sallyport queue list [--state S] [--sender T] [--recipient T] [--tenant T] [--rule R] "
    "[--limit N]\n"
    "       sallyport queue sites\n"
    "       sallyport queue show MESSAGE\n"
    "       sallyport queue hold MESSAGE --reason TEXT [--n N,N] [--until TIME]\n"
    "       sallyport queue release|delete MESSAGE --reason TEXT [--n N,N]\n"
    "       sallyport queue recall MESSAGE --reason TEXT\n"
    "       sallyport queue retry MESSAGE [--reason TEXT] [--n N,N] [--now]\n"
    "       sallyport queue redirect MESSAGE --to ADDRESS|--route NAME --reason TEXT [--n N,N]\n"
    "       sallyport queue count [--by domain|tenant|reason|state] [--limit N]\n"
    "       sallyport queue freeze|thaw --tenant NAME|--site DOMAIN|--host NAME --reason TEXT\n"
    "       sallyport queue drain|resume --reason TEXT\n"
    "       sallyport queue orders\n"
    "       sallyport trace MESSAGE-ID|MESSAGE\n"
    "       sallyport trace --network-message-id ID\n"
    "       sallyport keys list [ADDRESS]\n"
    "       sallyport keys show|remove ID [--reason TEXT]\n"
    "       sallyport keys import FILE [--no-pin] [--reason TEXT]\n"
    "       sallyport audit prove MESSAGE [--output FILE]\n"
    "       sallyport audit show MESSAGE\n"
    "       sallyport audit facts MESSAGE|DAYS [--output FILE]\n"
    "       sallyport audit find ADDRESS [FILE]\n"
    "       sallyport audit address ADDRESS\n"
    "       sallyport audit reveal PSEUDONYM|MESSAGE --reason TEXT\n"
    "       sallyport audit status\n"
    "       sallyport posture list [DOMAIN]\n"
    "       sallyport posture show DOMAIN\n"
    "       sallyport posture accept DOMAIN [LEVEL] --reason TEXT\n"
    "       sallyport posture forget DOMAIN --reason TEXT\n"
    "       sallyport suppression list [ADDRESS]\n"
    "       sallyport suppression add|remove ADDRESS --reason TEXT\n"
    "       sallyport policy approve VERSION --reason TEXT\n"
    "       sallyport policy proposals\n"
    "       sallyport probe DOMAIN [--sender ADDRESS]\n"
    "       sallyport tlsrpt show [DOMAIN] [--day YYYY-MM-DD]\n"
    "       sallyport status\n"
    "       sallyport upgrade\n"
    "\n"
    "  --config FILE  settings of the gateway (default /etc/sallyport/sallyport.json)\n"
    "  --socket PATH  its control socket, instead of the one in the settings\n"
    "  --json         JSON instead of tables\n"
    "  --n N,N        only these recipients of the message, by number\n"
    "  --reason TEXT  becomes part of the audit record\n"
    "\n"
    "Exit codes: 0 done, 1 refused or no such thing, 64 wrong arguments, 69 no gateway answers,\n"
    "75 unknown whether it was done: repeat it, that is always safe. probe: 0 mail would go, at or "
    "above\n"
    "its floor; 1 it would not; 2 that can't be told now.\n";

int control_usage(const char *why)
{
    if (why != NULL)
        (void)fprintf(stderr, "sallyport: %s\n", why);
    else
        (void)fputs(usage, stderr);
    return CONTROL_USAGE;
}

static bool take(struct control *c, int argc, char **argv, int *i)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {
        {"--config", &c->config},
        {"-c", &c->config},
        {"--socket", &c->socket},
        {"--reason", &c->reason},
        {"--output", &c->output},
        {"-o", &c->output},
        {"--until", &c->until},
        {"--n", &c->n},
        {"--state", &c->state},
        {"--sender", &c->sender},
        {"--recipient", &c->recipient},
        {"--tenant", &c->tenant},
        {"--rule", &c->rule},
        {"--limit", &c->limit},
        {"--address", &c->address},
        {"--day", &c->day},
        {"--network-message-id", &c->network_id},
        {"--site", &c->site},
        {"--host", &c->host},
        {"--by", &c->by},
        {"--folder", &c->folder},
        {"--to", &c->to},
        {"--route", &c->route},
        {"--entry", &c->entry},
    };

    for (size_t k = 0; k < SP_ARRAY_LEN(options); k++) {
        if (strcmp(argv[*i], options[k].name) != 0)
            continue;
        if (*i + 1 >= argc)
            return false;
        *options[k].value = argv[++*i];
        return true;
    }
    return false;
}

static bool parse(struct control *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            c->json = true;
        } else if (strcmp(argv[i], "--no-pin") == 0) {
            c->no_pin = true;
        } else if (strcmp(argv[i], "--now") == 0) {
            c->now = true;
        } else if (argv[i][0] == '-' && argv[i][1] != 0) {
            if (!take(c, argc, argv, &i))
                return false;
        } else if (c->word_count == SP_ARRAY_LEN(c->words)) {
            return false;
        } else {
            c->words[c->word_count++] = argv[i];
        }
    }
    return c->word_count >= 1;
}

static const struct {
    const char *name;
    size_t words; /* at least */
    int (*run)(const struct control *c);
} groups[] = {
    {"queue", 2, control_queue},
    {"keys", 2, control_keys},
    {"audit", 2, control_audit},
    {"posture", 2, control_posture},
    {"status", 1, control_status},
    {"probe", 2, control_probe},
    {"suppression", 2, control_suppression},
    {"policy", 2, control_policy},
    {"preference", 2, control_preference},
    {"tlsrpt", 2, control_tlsrpt},
    {"trace", 1, control_trace},
    {"upgrade", 1, control_upgrade},
};

int main(int argc, char **argv)
{
    struct control c = {.config = "/etc/sallyport/sallyport.json"};

    if (!parse(&c, argc, argv))
        return control_usage(NULL);
    for (size_t i = 0; i < SP_ARRAY_LEN(groups); i++) {
        if (strcmp(c.words[0], groups[i].name) == 0 && c.word_count >= groups[i].words)
            return groups[i].run(&c);
    }
    return control_usage(NULL);
}
