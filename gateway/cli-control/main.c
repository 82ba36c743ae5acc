/*
 * `sallyport queue`, `keys`, `audit prove|show|status`, `posture` and `status`: options, and where the control socket is. What an administrator does
 * is recorded with the user id that the kernel tells and the reason given here.
 */
#include "gateway/cli-control/control.h"

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
    "audit facts MESSAGE|DAYS [--output FILE]",
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

static const char usage_options[] =
    "\n"
    "  --config FILE  settings of the gateway (default /etc/sallyport/sallyport.json)\n"
    "  --socket PATH  its control socket, instead of the one in the settings\n"
    "  --json         JSON instead of tables\n"
    "  --n N,N        only these recipients of the message, by number\n"
    "  --reason TEXT  becomes part of the audit record\n"
    "  --dry-run      say what would be changed, and change nothing\n"
    "  FILTERS        some of --state S --sender T --recipient T --tenant T --rule R --site "
    "DOMAIN\n"
    "                 --host NAME: all that list shows with them\n"
    "\n"
    "Exit codes: 0 done, 1 refused or no such thing, 64 wrong arguments, 66 a file can't be read,\n"
    "69 no gateway answers, 73 output can't be written, 75 unknown whether it was done: repeat it, "
    "that is always safe. probe: 0 mail would go, at or "
    "above\n"
    "its floor; 1 it would not; 2 that can't be told now.\n";

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

/* The lines about a command, those of its group if it is none, all if there is no such group. */
static void print_lines(const struct control *c, FILE *to)
{
    const char *group = c->word_count > 0 ? c->words[0] : NULL;
    const char *verb = c->word_count > 1 ? c->words[1] : NULL;
    size_t lines = 0, of_group = 0;

    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++) {
        lines += is_about(usage[i], group, verb);
        of_group += is_about(usage[i], group, NULL);
    }
    if (lines == 0)
        verb = NULL;
    if (of_group == 0)
        group = NULL;
    lines = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++) {
        if (is_about(usage[i], group, verb))
            (void)fprintf(to, "%s sallyport %s\n", lines++ == 0 ? "usage:" : "      ", usage[i]);
    }
}

int control_usage(const struct control *c, const char *why)
{
    (void)control_say(c, CONTROL_USAGE, "usage", "%s", why);
    if (!c->json)
        print_lines(c, stderr);
    return CONTROL_USAGE;
}

static void note(struct control *c, const char *option)
{
    if (c->given_count < SP_ARRAY_LEN(c->given))
        c->given[c->given_count++] = option;
}

/* An option with a value. returns: what is wrong with it, or NULL */
static const char *take(struct control *c, int argc, char **argv, int *i)
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
        size_t len = strlen(options[k].name);

        if (strncmp(argv[*i], options[k].name, len) == 0 && argv[*i][1] == '-' &&
            argv[*i][len] == '=') { /* --name=value */
            *options[k].value = argv[*i] + len + 1;
            note(c, options[k].name);
            return NULL;
        }
        if (strcmp(argv[*i], options[k].name) != 0)
            continue;
        if (*i + 1 >= argc)
            return "wants a value";
        *options[k].value = argv[++*i];
        note(c, options[k].name);
        return NULL;
    }
    return "no such option";
}

/* An option without a value. returns: whether it is one */
static bool take_flag(struct control *c, const char *word)
{
    const struct {
        const char *name;
        bool *value;
    } flags[] = {
        {"--json", &c->json},       {"--no-pin", &c->no_pin}, {"--now", &c->now},
        {"--dry-run", &c->dry_run}, {"--help", &c->help},     {"-h", &c->help},
    };

    for (size_t k = 0; k < SP_ARRAY_LEN(flags); k++) {
        if (strcmp(word, flags[k].name) == 0) {
            *flags[k].value = true;
            note(c, flags[k].name);
            return true;
        }
    }
    return false;
}

/* Whether it stands behind the word that is wrong: a program wants to read of that, too. */
static bool has_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

/* Whether the usage knows group and verb. */
static bool is_command(const struct control *c)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
        if (is_about(usage[i], c->words[0], c->words[1]))
            return true;
    return false;
}

/* returns: false after saying what is wrong */
static bool parse(struct control *c, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *wrong = NULL;

        if (word[0] == '-' && word[1] != 0)
            wrong = take_flag(c, word) ? NULL : take(c, argc, argv, &i);
        else if (c->word_count == SP_ARRAY_LEN(c->words))
            wrong = "one word too many";
        else
            c->words[c->word_count++] = word;
        if (wrong != NULL) {
            char text[512];

            (void)snprintf(text, sizeof(text), "%s: %s", word, wrong);
            c->json = c->json || has_json(argc, argv);
            (void)control_usage(c, text);
            return false;
        }
    }
    return true;
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

static bool is_taken(const struct control *c, const char *option)
{
    static const char everywhere[] = "--config -c --socket --json --help -h";
    static const char filters[] = "--state --sender --recipient --tenant --rule --site --host";
    bool is_filter = names_option(filters, option);

    for (size_t i = 0; i < SP_ARRAY_LEN(usage); i++)
        if (is_about(usage[i], c->words[0], c->words[1]) &&
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
 * An option that a command does not know would be left out in silence, and the command do more than was meant. Asked of the queue's
 * commands, which change most; "trace" has no verb. returns: false after saying which
 */
static bool check_options(const struct control *c)
{
    char text[128];

    for (size_t i = 0; c->word_count > 0 && i < c->given_count; i++) {
        bool is_queue = strcmp(c->words[0], "queue") == 0 && c->word_count > 1;
        bool is_known = !is_queue || !is_command(c) || is_taken(c, c->given[i]);

        if (is_known && (is_queue || strcmp(c->given[i], "--dry-run") != 0))
            continue;
        (void)snprintf(text, sizeof(text), "%s: no option of %s%s%s", c->given[i], c->words[0],
                       is_queue ? " " : "", is_queue ? c->words[1] : "");
        (void)control_usage(c, text);
        return false;
    }
    return true;
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
        print_lines(&c, stdout);
        (void)fputs(usage_options, stdout);
        return flush(&c, CONTROL_OK);
    }
    code = check_options(&c) && check_words(&c) && names_to_ascii(&names, &c) ? run(&c)
                                                                              : CONTROL_USAGE;
    code = flush(&c, code);
    for (size_t i = 0; i < names.count; i++)
        sp_free(names.list[i]);
    return code;
}
