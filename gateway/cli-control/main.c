/*
 * `sallyport queue`, `keys`, `audit prove|show|status`, `posture` and `status`: options, and where the control socket is. What an administrator does
 * is recorded with the user id that the kernel tells and the reason given here.
 */
#include "gateway/cli-control/control.h"
#include "gateway/cli/options.h"
#include "gateway/cli/refusal.h"

#include "mail/idn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const usage[] = {
    "queue list [FILTERS] [--limit N]",
    "queue sites",
    "queue show MESSAGE",
    "queue hold MESSAGE|FILTERS --reason TEXT [--n N,N] [--until TIME] [--dry-run [--limit N]]",
    "queue release|delete MESSAGE|FILTERS --reason TEXT [--n N,N] [--dry-run [--limit N]]",
    "queue recall MESSAGE --reason TEXT [--dry-run]",
    "queue retry MESSAGE|FILTERS [--reason TEXT] [--n N,N] [--now] [--dry-run [--limit N]]",
    /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one line of the usage, too long for one here */
    "queue redirect MESSAGE|FILTERS --to ADDRESS|--route NAME --reason TEXT [--n N,N]"
    " [--dry-run [--limit N]]",
    "queue count [--by site|tenant|reason|state] [FILTERS] [--limit N]",
    "queue freeze|thaw --tenant NAME|--site DOMAIN|--host NAME --reason TEXT",
    "queue drain|resume --reason TEXT",
    "queue orders",
    "queue check|repair|backup|restore --help",
    "trace MESSAGE-ID|MESSAGE",
    "trace --network-message-id ID",
    "keys list [ADDRESS]",
    "keys show|remove ID [--reason TEXT]",
    "keys import FILE [--no-pin] [--reason TEXT]",
    "keys rotate --help",
    "audit prove MESSAGE [--output FILE]",
    "audit show MESSAGE",
    "audit facts MESSAGE|DAYS|VERSION [--output FILE]",
    "audit find ADDRESS [FILE]",
    "audit address ADDRESS",
    "audit reveal PSEUDONYM|MESSAGE --reason TEXT",
    "audit status",
    "audit verify --help",
    "posture list [DOMAIN]",
    "posture show DOMAIN",
    "posture accept DOMAIN [LEVEL] --reason TEXT",
    "posture forget DOMAIN --reason TEXT",
    "suppression list [ADDRESS]",
    "suppression add|remove ADDRESS --reason TEXT",
    "policy approve VERSION --reason TEXT",
    "policy proposals",
    "probe DOMAIN [--sender ADDRESS]",
    "tlsrpt show [DOMAIN] [--day YYYY-MM-DD]",
    "status",
    "upgrade",
};

#define OPTIONS_MAX 32

/* What an option means: told beside a usage that names it. */
static const struct {
    const char *name;
    const char *text;
} meanings[] = {
    {"--n", "--n N,N        only these recipients of the message, by number"},
    {"--reason", "--reason TEXT  becomes part of the audit record"},
    {"--dry-run", "--dry-run      say what would be changed, and change nothing"},
    {"FILTERS",
     "FILTERS        some of --state pending|deferred|held|in-delivery|frozen|quarantined\n"
     "                 --sender TEXT --recipient TEXT --tenant NAME --rule NAME --site DOMAIN\n"
     "                 --host NAME: all that list shows with them"},
    {"--sender", "--sender ADDRESS  as whose mail the policy is asked"},
    {"--output", "--output FILE  where it goes; - is standard output"},
};

static const char options_of_all[] =
    "  --config FILE  settings of the gateway (default /etc/sallyport/sallyport.json)\n"
    "  --socket PATH  its control socket, instead of the one in the settings\n"
    "  --json         JSON instead of tables\n";

static const char exit_codes[] = "\nExit codes: 0 done, 1 refused or no such thing, 64 wrong "
                                 "arguments, 66 a file can't be read,\n"
                                 "69 no gateway answers, 73 output can't be written, 75 unknown "
                                 "whether it was done: repeat it,\n"
                                 "that is always safe.\n";

static const char exit_codes_of_status[] =
    "status: 0 all is well; 1 somebody has to act; 75 not all answered, look again.\n";
static const char exit_codes_of_probe[] =
    "probe: 0 mail would go, at or above its floor; 1 it would not; 2 that can't be told now.\n";

/* Whether word is one of "release|delete". */
static bool is_one_of(struct sp_bytes words, const char *word)
{
    struct sp_bytes one;

    while (sp_bytes_split(&words, '|', &one)) {
        if (sp_bytes_eq(one, sp_bytes_cstr(word)))
            return true;
    }
    return false;
}

/* Whether a line of the usage is about these words; what is NULL is not asked. */
static bool is_about(const char *line, const char *group, const char *verb)
{
    struct sp_bytes rest = sp_bytes_cstr(line);
    struct sp_bytes word = {0};

    if (group == NULL)
        return true;
    (void)sp_bytes_split(&rest, ' ', &word);
    if (!sp_bytes_eq(word, sp_bytes_cstr(group)))
        return false;
    return verb == NULL || (sp_bytes_split(&rest, ' ', &word) && is_one_of(word, verb));
}

/* What a usage is about: a command, its group if it is none, all if there is no such group. */
struct about {
    const char *group, *verb; /* NULL: any */
};

static struct about find_about(const struct control *c)
{
    struct about a = {c->word_count > 0 ? c->words[0] : NULL,
                      c->word_count > 1 ? c->words[1] : NULL};
    size_t lines = 0, of_group = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++) {
        lines += is_about(usage[i], a.group, a.verb);
        of_group += is_about(usage[i], a.group, NULL);
    }
    if (lines == 0)
        a.verb = NULL;
    if (of_group == 0)
        a.group = NULL;
    return a;
}

static void print_lines(const struct control *c, FILE *to)
{
    struct about a = find_about(c);
    size_t lines = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
        if (is_about(usage[i], a.group, a.verb))
            (void)fprintf(to, "%s sallyport %s\n", lines++ == 0 ? "usage:" : "      ", usage[i]);
}

/* Whether a line of the usage names an option: as a word, in brackets or not. */
static bool names_option(const char *line, const char *option)
{
    size_t len = strlen(option);

    for (const char *at = strstr(line, option); at != NULL; at = strstr(at + 1, option))
        if (strchr(" ]|", at[len]) != NULL)
            return true;
    return false;
}

static void print_help(const struct control *c)
{
    struct about a = find_about(c);

    print_lines(c, stdout);
    (void)printf("\n%s", options_of_all);
    for (size_t m = 0; m < SP_ARRAY_LEN(meanings); m++) {
        bool is_named = false;

        for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
            is_named = is_named || (is_about(usage[i], a.group, a.verb) &&
                                    names_option(usage[i], meanings[m].name));
        if (is_named)
            (void)printf("  %s\n", meanings[m].text);
    }
    (void)fputs(exit_codes, stdout);
    if (is_about("status", a.group, NULL))
        (void)fputs(exit_codes_of_status, stdout);
    if (is_about("probe", a.group, NULL))
        (void)fputs(exit_codes_of_probe, stdout);
}

int control_usage(const struct control *c, const char *why)
{
    (void)control_say(c, CONTROL_USAGE, "usage", "%s", why);
    if (!c->json)
        print_lines(c, stderr);
    return CONTROL_USAGE;
}

/* returns: the second word, NULL if it is none of the command's own: "trace" and "probe" have no verbs */
static const char *verb_of(const struct control *c)
{
    size_t len = strlen(c->words[0]);

    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
        if (is_about(usage[i], c->words[0], NULL) && usage[i][len] == ' ' &&
            strchr("[]ABCDEFGHIJKLMNOPQRSTUVWXYZ-", usage[i][len + 1]) == NULL)
            return c->words[1];
    return NULL;
}

/* Whether the usage knows group and verb. */
static bool is_command(const struct control *c)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
        if (is_about(usage[i], c->words[0], verb_of(c)))
            return true;
    return false;
}

static bool is_taken(const struct control *c, const char *option)
{
    static const char everywhere[] = "--config -c --socket --json --help -h";
    const char *verb = verb_of(c);
    static const char filters[] = "--state --sender --recipient --tenant --rule --site --host";
    bool is_filter = names_option(filters, option);

    if (strcmp(option, "-o") == 0)
        option = "--output";
    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
        if (is_about(usage[i], c->words[0], verb) &&
            (names_option(usage[i], option) || (is_filter && strstr(usage[i], "FILTERS") != NULL)))
            return true;
    return names_option(everywhere, option);
}

/* Whether a queue's command takes a word behind its verb. */
static bool takes_word(const struct control *c)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
        if (is_about(usage[i], c->words[0], c->words[1]) && strstr(usage[i], " MESSAGE") != NULL)
            return true;
    return false;
}

/* A word that is left out in silence may be half of what was meant. returns: false after saying which */
static bool check_words(const struct control *c)
{
    bool is_queue = c->word_count > 2 && strcmp(c->words[0], "queue") == 0 && is_command(c);
    size_t most = is_queue && takes_word(c) ? 3 : 2;
    char text[512];

    if (!is_queue || c->word_count <= most)
        return true;
    (void)snprintf(text, sizeof(text), "%s: one word too many", c->words[most]);
    (void)control_usage(c, text);
    return false;
}

/*
 * An option that a command does not know would be left out in silence, and the command do more than was meant. "trace" has no
 * verb; what other programs ask stands in no usage. returns: false after saying which
 */
static bool check_options(const struct control *c, const struct cli_option *options, size_t count)
{
    const char *verb = c->word_count > 0 ? verb_of(c) : NULL;
    char text[128];

    for (size_t i = 0; c->word_count > 0 && i < count; i++) {
        const struct cli_option *o = &options[i];
        bool is_given = o->is_on != NULL ? *o->is_on : *o->value != NULL;

        if (!is_given || is_taken(c, o->name))
            continue;
        if (!is_command(c) && strcmp(o->name, "--dry-run") != 0)
            continue;
        (void)snprintf(text, sizeof(text), "%s: no option of %s%s%s", o->name, c->words[0],
                       verb == NULL ? "" : " ", verb == NULL ? "" : verb);
        (void)control_usage(c, text);
        return false;
    }
    return true;
}

/* Says that there is no such option, and which of this command's was meant as it seems; of what command is known so far. */
static void tell_unknown(const struct control *c, char *word, const struct cli_option *options,
                         size_t count)
{
    struct cli_args args = {.argc = 1, .argv = &word};
    struct cli_option own[OPTIONS_MAX];
    size_t own_count = 0;
    char text[512];

    sp_assert(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count && c->word_count > 0 && is_command(c); i++)
        if (is_taken(c, options[i].name))
            own[own_count++] = options[i];
    (void)cli_next_word(&args, own, own_count);
    (void)snprintf(text, sizeof(text), "%s: %s", word, args.why);
    (void)control_usage(c, text);
}

/* returns: false after saying what is wrong */
static bool parse(struct control *c, int argc, char **argv)
{
    const struct cli_option options[] = {
        {"--config", .value = &c->config},
        {"-c", .value = &c->config},
        {"--socket", .value = &c->socket},
        {"--reason", .value = &c->reason},
        {"--output", .value = &c->output},
        {"-o", .value = &c->output},
        {"--until", .value = &c->until},
        {"--n", .value = &c->n},
        {"--state", .value = &c->state},
        {"--sender", .value = &c->sender},
        {"--recipient", .value = &c->recipient},
        {"--tenant", .value = &c->tenant},
        {"--rule", .value = &c->rule},
        {"--limit", .value = &c->limit},
        {"--day", .value = &c->day},
        {"--network-message-id", .value = &c->network_id},
        {"--site", .value = &c->site},
        {"--host", .value = &c->host},
        {"--by", .value = &c->by},
        {"--folder", .value = &c->folder},
        {"--to", .value = &c->to},
        {"--route", .value = &c->route},
        {"--entry", .value = &c->entry},
        {"--request", .value = &c->request},
        {"--json", .is_on = &c->json},
        {"--no-pin", .is_on = &c->no_pin},
        {"--now", .is_on = &c->now},
        {"--dry-run", .is_on = &c->dry_run},
        {"--help", .is_on = &c->help},
        {"-h", .is_on = &c->help},
    };
    struct cli_args args = {.argc = argc - 1, .argv = argv + 1};
    const char *word;
    char text[512];

    while ((word = cli_next_word(&args, options, SP_ARRAY_LEN(options))) != NULL) {
        if (c->word_count == SP_ARRAY_LEN(c->words)) {
            args.wrong = word;
            args.why = "one word too many";
            break;
        }
        c->words[c->word_count++] = word;
    }
    if (args.wrong == NULL)
        return c->help || check_options(c, options, SP_ARRAY_LEN(options));
    c->json = cli_wants_json(argc, argv); /* it may stand behind the word that is wrong */
    (void)snprintf(text, sizeof(text), "%s: %s", args.wrong, args.why);
    if (args.is_unknown)
        tell_unknown(c, args.argv[-1], options, SP_ARRAY_LEN(options));
    else
        (void)control_usage(c, text);
    return false;
}

/* Names that were written in other letters than ASCII, in the form that they have inside. */
struct names {
    char *list[8];
    size_t count;
};

/* A domain or an address, or a part of one. returns: false after saying that it can be none */
static bool to_ascii(const struct control *c, struct names *names, const char **text)
{
    struct sp_buf ascii;
    bool ok;

    if (*text == NULL || sp_text_is_ascii(sp_bytes_cstr(*text)) ||
        names->count == SP_ARRAY_LEN(names->list))
        return true;
    sp_buf_init(&ascii, 4096);
    ok = sp_domain_pattern_to_ascii(sp_bytes_cstr(*text), &ascii) == SP_OK;
    if (ok)
        *text = names->list[names->count++] = sp_strdup_bytes(sp_buf_bytes(&ascii));
    else
        (void)control_say(c, CONTROL_USAGE, "usage", "%s: no name that a domain may have", *text);
    sp_buf_clear(&ascii);
    return ok;
}

/* Which word names a domain or an address. returns: its number, 0 if none does */
static size_t name_word(const struct control *c)
{
    static const struct {
        const char *group, *verb; /* verb NULL: any */
        size_t word;
    } places[] = {{"suppression", NULL, 2}, {"posture", NULL, 2},    {"tlsrpt", NULL, 2},
                  {"keys", "list", 2},      {"audit", "address", 2}, {"audit", "find", 2},
                  {"probe", NULL, 1}};

    for (size_t i = 0; i < SP_ARRAY_LEN(places); i++) {
        if (places[i].word < c->word_count && strcmp(c->words[0], places[i].group) == 0 &&
            (places[i].verb == NULL || strcmp(c->words[1], places[i].verb) == 0))
            return places[i].word;
    }
    return 0;
}

static bool names_to_ascii(struct names *names, struct control *c)
{
    size_t word = name_word(c);

    return (word == 0 || to_ascii(c, names, &c->words[word])) && to_ascii(c, names, &c->site) &&
           to_ascii(c, names, &c->host) && to_ascii(c, names, &c->sender) &&
           to_ascii(c, names, &c->recipient);
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

static int run(const struct control *c)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(groups) && c->word_count > 0; i++) {
        if (strcmp(c->words[0], groups[i].name) == 0 && c->word_count >= groups[i].words)
            return groups[i].run(c);
    }
    return control_usage(c, c->word_count > 1 ? "there is no such command" : "what of it?");
}

/* What could not be written was not told. */
static int flush(const struct control *c, int code)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout) != 0;

    return failed && code == CONTROL_OK ? control_say(c, CONTROL_NO_OUTPUT, "output",
                                                      "standard output: %s", strerrordesc_np(errno))
                                        : code;
}

int main(int argc, char **argv)
{
    struct control_silent silent = {.count = 0};
    struct control c = {.config = "/etc/sallyport/sallyport.json", .silent = &silent};
    struct names names = {.count = 0};
    int code;

    if (!parse(&c, argc, argv))
        return CONTROL_USAGE;
    if (c.help) {
        print_help(&c);
        return flush(&c, CONTROL_OK);
    }
    code = check_words(&c) && names_to_ascii(&names, &c) ? run(&c) : CONTROL_USAGE;
    code = flush(&c, code);
    for (size_t i = 0; i < names.count; i++)
        sp_free(names.list[i]);
    return code;
}
