/*
 * `sallyport audit verify [FILE]`: reads an audit file or a proof and says in words and by its exit code whether it holds.
 * Works without the daemon, on any machine: all it needs is the file and, to believe more than the file says of itself, a
 * public key. Exit codes: 0 proved, 1 altered, 2 incomplete, 3 key unknown, 64 wrong arguments, 66 nothing to read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/proof.h"
#include "audit/series.h"
#include "base/text.h"
#include "config/config.h"
#include "gateway/cli/options.h"
#include "gateway/cli/refusal.h"

#define EXIT_USAGE     64
#define EXIT_NO_INPUT  66
#define EXIT_NO_OUTPUT 73
#define BLOCK_LEN      65536
#define SMALL_MAX      ((size_t)16 << 20) /* keys, heads, settings */
#define PATH_LEN_MAX   4096
#define FILES_MAX      4096
#define TRIES          5

static const char usage[] =
    "usage: sallyport audit verify [FILE]... [--key FILE] [--head FILE] [--config FILE] [--json]\n"
    "\n"
    "Verifies an audit file or a proof made by `sallyport audit prove`, offline.\n"
    "Without FILE, the audit file of the gateway that --config describes\n"
    "(default /etc/sallyport/sallyport.json). FILE - is standard input.\n"
    "Older files beside FILE (FILE.000000048212, or the same with .gz) are read before it.\n"
    "Such a one alone is verified as a part; several FILEs as one row, the oldest first.\n"
    "\n"
    "  --key FILE     believe only the public keys in FILE (lines \"sallyport-audit-key ID "
    "BASE64\");\n"
    "                 without it those in AUDITFILE.pub, else the one that the file itself brings\n"
    "  --head FILE    the signed head, which shows a cut end; default AUDITFILE.head\n"
    "  --json         one JSON object instead of words\n"
    "\n"
    "Exit codes: 0 proved, 1 altered, 2 incomplete, 3 key unknown, 64 wrong arguments, 66 nothing "
    "to "
    "read,\n73 output can't be written.\n";

struct options {
    const char *files[FILES_MAX]; /* in their order */
    size_t file_count;
    const char *key;
    const char *head;
    const char *config;
    bool json;
};

struct verify {
    struct options options;
    char path[PATH_LEN_MAX]; /* of the last file, or "-" */
    size_t files;            /* how many were read */
    struct sp_audit_ring ring;
    struct sp_buf head;
    bool is_proof;
    struct sp_audit_proof_report proof;
    struct sp_audit_report report;
};

static bool read_small(const char *path, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return false;
    while (n > 0 && sp_buf_rc(out) == SP_OK) {
        uint8_t *at = sp_buf_reserve(out, BLOCK_LEN);

        if (at == NULL)
            break;
        n = read(fd, at, BLOCK_LEN);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    }
    close(fd);
    return n == 0 && sp_buf_rc(out) == SP_OK;
}

/* returns: code */
SP_PRINTF(4, 5)
static int say(const struct verify *v, int code, const char *error, const char *format, ...)
{
    const struct cli_voice voice = {v->options.json, "sallyport audit"};
    va_list values;

    va_start(values, format);
    (void)cli_refuse_list(&voice, code, error, format, values);
    va_end(values);
    return code;
}

static int no_input(const struct verify *v, const char *what, const char *path)
{
    struct sp_err err = {0};

    (void)sp_fail_errno(&err, SP_E_IO, errno, "%s", path);
    return say(v, EXIT_NO_INPUT, "input", "%s: %s", what, err.text);
}

static bool path_join(char *out, const char *folder, const char *name)
{
    int n = name[0] == '/' ? snprintf(out, PATH_LEN_MAX, "%s", name)
                           : snprintf(out, PATH_LEN_MAX, "%s/%s", folder, name);

    return n > 0 && n < PATH_LEN_MAX;
}

/* The gateway's own file, by its settings. */
static int find_file(struct verify *v)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_config) config = NULL;
    struct sp_buf text;
    struct sp_err err = {0};
    char folder[PATH_LEN_MAX];
    int code = 0;

    sp_buf_init(&text, SMALL_MAX);
    if (!read_small(v->options.config, &text)) {
        code = no_input(v, "settings", v->options.config);
    } else if (sp_config_load(sp_buf_bytes(&text), v->options.config, problems, &config) != SP_OK) {
        (void)sp_problems_rc(problems, &err);
        code = say(v, EXIT_NO_INPUT, "input", "%s", err.text);
    } else if (!path_join(folder, config->state_dir, "ledger") ||
               !path_join(v->path, folder, config->audit.file)) {
        code = no_input(v, "path", config->audit.file);
    }
    sp_buf_clear(&text);
    return code;
}

static int load_keys(struct verify *v)
{
    const char *path = v->options.key;
    char beside[PATH_LEN_MAX];
    struct sp_err err = {0};
    struct sp_buf text;
    size_t base_len = strlen(v->path);
    int code = 0;

    (void)sp_audit_series_number(v->path, &base_len); /* one key for all files of a series */
    if (path == NULL &&
        snprintf(beside, sizeof(beside), "%.*s.pub", (int)base_len, v->path) < PATH_LEN_MAX &&
        access(beside, R_OK) == 0)
        path = beside;
    if (path == NULL)
        return 0;
    sp_buf_init(&text, SMALL_MAX);
    if (!read_small(path, &text)) {
        code = no_input(v, "key", path);
    } else if (sp_audit_ring_parse(&v->ring, sp_buf_bytes(&text), &err) != SP_OK) {
        code = say(v, SP_AUDIT_KEY_IS_UNKNOWN, "key", "%s: %s", path, err.text);
    }
    sp_buf_clear(&text);
    return code;
}

static int load_head(struct verify *v)
{
    const char *path = v->options.head;
    char beside[PATH_LEN_MAX];

    sp_buf_reset(&v->head);
    if (path != NULL)
        return read_small(path, &v->head) ? 0 : no_input(v, "head", path);
    if (snprintf(beside, sizeof(beside), "%s.head", v->path) < PATH_LEN_MAX &&
        access(beside, R_OK) == 0)
        (void)read_small(beside, &v->head);
    return 0;
}

static bool collect_proof(struct sp_audit_source *source, struct sp_buf *text)
{
    uint8_t *at;
    int n;

    while ((at = sp_buf_reserve(text, BLOCK_LEN)) != NULL) {
        n = sp_audit_source_read(source, at, BLOCK_LEN);
        if (n <= 0)
            return n == 0;
        sp_buf_commit(text, (size_t)n);
    }
    return true; /* too long: what is there does not parse */
}

static void check_proof(struct verify *v, struct sp_bytes text)
{
    v->is_proof = true;
    sp_audit_proof_check(text, &v->ring, &v->proof);
    v->report = v->proof.report;
}

/* Feeds one file. may_be_proof: nothing was fed before. returns: whether it could be read */
static bool feed_file(struct verify *v, const char *path, struct sp_audit_verifier *verifier,
                      bool may_be_proof)
{
    SP_AUTO(sp_audit_source) source = NULL;
    struct sp_buf text;
    struct sp_err err = {0};
    int n = 1;

    if (sp_audit_source_open(path, &source, &err) != SP_OK) {
        (void)say(v, EXIT_NO_INPUT, "input", "%s", err.text);
        return false;
    }
    sp_buf_init(&text, SP_AUDIT_PROOF_MAX + BLOCK_LEN);
    while (n > 0 && !v->is_proof) {
        uint8_t *at = sp_buf_reserve(&text, BLOCK_LEN);

        n = at == NULL ? -1 : sp_audit_source_read(source, at, BLOCK_LEN);
        if (n <= 0)
            break;
        sp_buf_commit(&text, (size_t)n);
        if (may_be_proof && sp_audit_proof_is(sp_buf_bytes(&text))) {
            n = collect_proof(source, &text) ? 0 : -1;
            check_proof(v, sp_buf_bytes(&text));
            break;
        }
        may_be_proof = false;
        sp_audit_verifier_feed(verifier, sp_buf_bytes(&text));
        sp_buf_reset(&text);
    }
    sp_buf_clear(&text);
    if (n < 0)
        (void)say(v, EXIT_NO_INPUT, "input", "%s: can't be read to its end", path);
    return n == 0;
}

/* The head first, then the files: they only grow, so they are never behind it. */
static int read_files(struct verify *v, const struct sp_audit_series *series)
{
    size_t count = series == NULL ? v->options.file_count : sp_audit_series_count(series);
    int code = load_head(v);
    bool ok = true;

    if (code != 0)
        return code;
    {
        SP_AUTO(sp_audit_verifier)
        verifier = sp_audit_verifier_new(&v->ring, sp_buf_bytes(&v->head));

        if (sp_audit_series_number(v->path, NULL) != 0 && count == 1)
            sp_audit_verifier_set_part(verifier);
        for (size_t i = 0; i < count && ok && !v->is_proof; i++)
            ok =
                feed_file(v, series == NULL ? v->options.files[i] : sp_audit_series_path(series, i),
                          verifier, i == 0);
        if (ok && !v->is_proof)
            v->report = *sp_audit_verifier_finish(verifier);
    }
    return ok ? 0 : EXIT_NO_INPUT;
}

/* A file that is written with the older ones beside it. A ledger that rotates meanwhile makes us begin anew. */
static int read_series(struct verify *v)
{
    struct sp_err err = {0};
    int code = 0;

    for (int i = 0; i < TRIES; i++) {
        SP_AUTO(sp_audit_series) before = NULL;
        SP_AUTO(sp_audit_series) after = NULL;

        if (sp_audit_series_list(v->path, &before, &err) != SP_OK) {
            return say(v, EXIT_NO_INPUT, "input", "%s", err.text);
        }
        v->report = (struct sp_audit_report){0};
        v->files = sp_audit_series_count(before);
        code = read_files(v, before);
        if (code == 0 && (v->is_proof || v->report.verdict == SP_AUDIT_PROVED))
            return code;
        if (sp_audit_series_list(v->path, &after, &err) != SP_OK ||
            sp_audit_series_same(before, after))
            return code;
    }
    return code;
}

static void print_json(const struct verify *v)
{
    const struct sp_audit_report *r = &v->report;
    struct sp_buf text;
    struct sp_jw w;

    sp_buf_init(&text, SMALL_MAX);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "verdict", sp_audit_verdict_name(r->verdict));
    sp_jw_int(&w, "code", r->verdict);
    sp_jw_cstr(&w, "file", v->path);
    sp_jw_cstr(&w, "kind", v->is_proof ? "proof" : "audit-file");
    sp_jw_cstr(&w, "why", r->why[0] == 0 ? NULL : r->why);
    sp_jw_int(&w, "line", (int64_t)r->line);
    sp_jw_int(&w, "records", (int64_t)r->records);
    sp_jw_int(&w, "first_seq", (int64_t)r->first_seq);
    sp_jw_int(&w, "last_seq", (int64_t)r->last_seq);
    sp_jw_int(&w, "checkpoints", (int64_t)r->checkpoints);
    sp_jw_int(&w, "signed_to", (int64_t)r->signed_to);
    sp_jw_cstr(&w, "key", r->key[0] == 0 ? NULL : r->key);
    sp_jw_cstr(&w, "key_from", r->key_from_file ? "the file itself" : "a trusted key");
    sp_jw_int(&w, "files", (int64_t)v->files);
    sp_jw_int(&w, "purged_to", (int64_t)r->purged_to);
    sp_jw_bool(&w, "witnessed", false);
    if (v->is_proof) {
        sp_jw_id(&w, "message", v->proof.message.b);
        sp_jw_bool(&w, "settled", v->proof.settled);
        sp_jw_int(&w, "tree_size", (int64_t)v->proof.tree_size);
    }
    sp_jw_end(&w);
    (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static void print_key(const struct verify *v)
{
    const struct sp_audit_report *r = &v->report;

    if (r->key[0] == 0)
        return;
    (void)printf("  signed by %s, %s\n", r->key,
                 r->key_from_file ? "a key that the file itself brings: compare it, or give --key"
                                  : "a key that you trust");
    (void)printf("  intact since our own key; not witnessed\n");
}

static void print_proof(const struct verify *v)
{
    const struct sp_audit_report *r = &v->report;
    char id[SP_ID_TEXT_LEN + 1];

    sp_id_format(&v->proof.message, id);
    (void)printf(
        "proved: %llu records of message %s stand unaltered in an audit file of %llu lines\n",
        (unsigned long long)r->records, id, (unsigned long long)v->proof.tree_size);
    (void)printf("  %s\n", v->proof.settled
                               ? "settled: the records that message.settled cites are all here"
                               : "not settled yet: later records may follow");
    print_key(v);
}

static void print_proved(const struct verify *v)
{
    const struct sp_audit_report *r = &v->report;
    char from[SP_TIME_TEXT_MAX];
    char to[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(r->first_ms, from);
    sp_time_format_rfc3339(r->last_ms, to);
    (void)printf(
        "proved: %llu records, %llu to %llu, no line changed, dropped, swapped, added or cut\n",
        (unsigned long long)r->records, (unsigned long long)r->first_seq,
        (unsigned long long)r->last_seq);
    (void)printf("  from %s to %s, %llu checkpoints", from, to, (unsigned long long)r->checkpoints);
    if (v->files > 1)
        (void)printf(", %zu files", v->files);
    (void)printf("\n");
    if (r->begins_later && r->purged_to + 1 >= r->first_seq)
        (void)printf("  records 1 to %llu were removed, on record: audit.purged\n",
                     (unsigned long long)r->first_seq - 1);
    else if (r->begins_later)
        (void)printf("  a part: records 1 to %llu are in older files\n",
                     (unsigned long long)r->first_seq - 1);
    if (r->signed_to < r->last_seq && r->last_seq - r->signed_to > 1)
        (void)printf("  the newest %llu are chained but not signed yet\n",
                     (unsigned long long)(r->last_seq - r->signed_to));
    print_key(v);
}

static void print_words(const struct verify *v)
{
    const struct sp_audit_report *r = &v->report;

    if (r->verdict == SP_AUDIT_PROVED) {
        if (v->is_proof)
            print_proof(v);
        else
            print_proved(v);
        return;
    }
    if (r->line > 0)
        (void)printf("%s: line %llu: %s\n", sp_audit_verdict_name(r->verdict),
                     (unsigned long long)r->line, r->why);
    else
        (void)printf("%s: %s\n", sp_audit_verdict_name(r->verdict), r->why);
    if (!v->is_proof && r->records > 0)
        (void)printf("  the %llu records before that hold\n", (unsigned long long)r->records);
}

static int verify(struct verify *v)
{
    int code = load_keys(v);

    if (code != 0)
        return code;
    v->files = v->options.file_count;
    if (v->options.file_count > 1 || strcmp(v->path, "-") == 0 ||
        sp_audit_series_number(v->path, NULL) != 0)
        code = read_files(v, NULL);
    else
        code = read_series(v);
    if (code != 0)
        return code;
    if (v->options.json)
        print_json(v);
    else
        print_words(v);
    return (int)v->report.verdict;
}

/* What is wrong with the arguments, and how they are written. returns: EXIT_USAGE */
static int wrong(const struct verify *v, const char *word, const char *why)
{
    (void)say(v, EXIT_USAGE, "usage", "%s: %s", word, why);
    if (!v->options.json)
        (void)fputs(usage, stderr);
    return EXIT_USAGE;
}

/* returns: 0, EXIT_USAGE after saying what is wrong */
static int parse(struct verify *v, struct cli_args args, bool *wants_help)
{
    struct options *o = &v->options;
    const struct cli_option options[] = {
        {"--json", .is_on = &o->json}, {"--key", .value = &o->key},
        {"--head", .value = &o->head}, {"--config", .value = &o->config},
        {"-c", .value = &o->config},   {"--help", .is_on = wants_help},
    };
    const char *word;

    while ((word = cli_next_word(&args, options, SP_ARRAY_LEN(options))) != NULL) {
        if (o->file_count == FILES_MAX)
            return wrong(v, word, "one file too many");
        o->files[o->file_count++] = word;
    }
    if (args.wrong != NULL)
        return wrong(v, args.wrong, args.why);
    if (o->file_count > 0 &&
        snprintf(v->path, sizeof(v->path), "%s", o->files[o->file_count - 1]) >= PATH_LEN_MAX)
        return wrong(v, o->files[o->file_count - 1], "too long for a name");
    return 0;
}

static int run(struct verify *v)
{
    int code = 0;

    sp_buf_init(&v->head, SMALL_MAX);
    if (v->options.file_count == 0)
        code = find_file(v);
    if (code == 0)
        code = verify(v);
    sp_buf_clear(&v->head);
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        code = say(v, EXIT_NO_OUTPUT, "output", "standard output: %s", strerrordesc_np(errno));
    return code;
}

int main(int argc, char **argv)
{
    struct verify v = {.options = {.config = "/etc/sallyport/sallyport.json"}};
    bool wants_help = false;
    int code;

    v.options.json = cli_wants_json(argc, argv); /* of what is wrong, too */
    if (argc < 3)                                /* "audit verify" */
        return wrong(&v, "audit", "verify?");
    code = parse(&v, (struct cli_args){.argc = argc - 3, .argv = argv + 3}, &wants_help);
    if (code == 0 && wants_help)
        code =
            fputs(usage, stdout) < 0 || fflush(stdout) != 0
                ? say(&v, EXIT_NO_OUTPUT, "output", "standard output: %s", strerrordesc_np(errno))
                : 0;
    else if (code == 0)
        code = run(&v);
    return code;
}
