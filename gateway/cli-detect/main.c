/*
 * `sallyport detect`: what the gateway's detector says of files, for an administrator's own test files. Words by default,
 * one JSON object a file with --json, the text without what identifies with --redact; --lines judges thousands of texts in
 * one run. Places are in code points of the decoded text: a plain file's own, or, of a message or document, all texts one
 * behind the other as --text prints them. Exit codes: 0 nothing that is PHI, 1 PHI in at least one, 2 something could not
 * be examined, 64 wrong arguments, 66 a file can't be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/cli-detect/cli.h"
#include "gateway/cli/refusal.h"

static const char usage[] =
    "usage: sallyport detect FILE... [--own DETECTION.json] [--json | --redact | --text]\n"
    "       sallyport detect --lines [FILE] [--own DETECTION.json]\n"
    "       sallyport detect index DETECTION.json PATIENTS.csv [--json]\n"
    "\n"
    "Says what the detector finds in texts, messages (.eml) and documents. FILE - is standard "
    "input.\n"
    "\n"
    "  --json     one JSON object a file: file, phi, score, class, findings (type, start, end, "
    "score)\n"
    "  --redact   the decoded text, with each identifier replaced by its type\n"
    "  --text     the decoded text, which places refer to\n"
    "  --lines    reads one JSON object a line, {\"id\", \"text\"}, and answers one a line in the "
    "same order\n"
    "  --own DETECTION.json  with these patterns and terms, and the exact data beside them\n"
    "\n"
    "index makes DETECTION.index, keyed HMACs of a list of patients, and at first DETECTION.key.\n"
    "\n"
    "Exit codes: 0 no PHI, 1 PHI found, 2 something could not be examined, 64 wrong arguments, 66 "
    "a "
    "file can't\nbe read, 73 output can't be written. --lines: 0 if all lines were read.\n";

int cli_detect_say(const struct cli_detect *cli, int code, const char *error, const char *format,
                   ...)
{
    const struct cli_voice voice = {cli->json, "sallyport detect"};
    va_list values;

    va_start(values, format);
    (void)cli_refuse_list(&voice, code, error, format, values);
    va_end(values);
    return code;
}

int cli_detect_wrong(const struct cli_detect *cli, const char *word, const char *why)
{
    (void)cli_detect_say(cli, CLI_DETECT_USAGE, "usage", "%s%s%s", word, word[0] == 0 ? "" : ": ",
                         why);
    if (!cli->json)
        (void)fprintf(stderr, "\n%s", usage);
    return CLI_DETECT_USAGE;
}

bool cli_detect_read(const char *path, struct sp_buf *out)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return false;
    while (n > 0) {
        uint8_t *at = sp_buf_reserve(out, 1 << 20);

        if (at == NULL) {
            errno = EFBIG;
            n = -1;
            break;
        }
        n = read(fd, at, 1 << 20);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    }
    if (fd != STDIN_FILENO)
        close(fd);
    return n == 0;
}

/* Header fields at the top, two of those that every message has. */
static bool is_message(const char *path, struct sp_bytes file)
{
    static const char *const fields[] = {
        "from:",     "to:",         "date:",        "subject:",     "mime-version:",
        "received:", "message-id:", "return-path:", "content-type:"};
    struct sp_bytes rest = sp_bytes_slice(file, 0, 65536), line;
    size_t len = strlen(path);
    unsigned known = 0;

    if (len > 4 && strcmp(path + len - 4, ".eml") == 0)
        return true;
    while (sp_bytes_split(&rest, '\n', &line)) {
        size_t colon = sp_bytes_find(line, ':');

        if (line.len <= 1)
            break;
        if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
            continue;
        if (colon == SIZE_MAX || sp_bytes_find(sp_bytes_slice(line, 0, colon), ' ') != SIZE_MAX)
            return false;
        for (size_t i = 0; i < SP_ARRAY_LEN(fields); i++)
            known += sp_bytes_starts_nocase(line, sp_bytes_cstr(fields[i]));
    }
    return known >= 3;
}

static enum sp_rc examine(struct cli_detect *cli, const char *path, struct sp_bytes file)
{
    struct sp_detect_limits limits = {
        .findings = true,
        .text = &cli->text,
        .unpacked_max = CLI_DETECT_TEXT_MAX / 2,
        .own = cli->own,
    };
    struct sp_mime_source source = sp_mime_source_bytes(&file);

    if (is_message(path, file))
        return sp_detect_message(cli->detect, &source, &limits, cli->arena, &cli->result);
    if (sp_detect_is_text(file)) {
        sp_detect_text(cli->detect, file, &limits, cli->arena, &cli->result);
        return SP_OK;
    }
    return sp_detect_file(cli->detect, file, &limits, cli->arena, &cli->result);
}

static void print_words(const struct cli_detect *cli, const char *path)
{
    const struct sp_detect_result *r = &cli->result;

    printf("%s: %s (%s, score %u)\n", path, r->class >= SP_DETECT_PHI ? "PHI" : "no PHI",
           cli_detect_class(r->class), r->score);
    for (size_t i = 0; i < r->finding_count; i++)
        printf("  %6u-%-6u %-18s %u\n", r->findings[i].start, r->findings[i].end,
               sp_detect_type_name(r->findings[i].type), r->findings[i].score);
    if (r->reason_count > 0)
        printf("  by weight, no rule; what weighed most:\n");
    for (size_t i = 0; i < r->reason_count; i++)
        printf("  %6u-%-6u %-18s %u\n", r->reasons[i].start, r->reasons[i].end, "weight",
               r->reasons[i].score);
    for (size_t i = 0; i < r->gap_count; i++)
        printf("  part %u not examined: %s\n", r->gaps[i].part, r->gaps[i].why);
}

static int one_file(struct cli_detect *cli, const char *path)
{
    struct sp_buf file;
    enum sp_rc rc;

    sp_buf_init(&file, CLI_DETECT_FILE_MAX);
    sp_arena_reset(cli->arena);
    sp_buf_reset(&cli->text);
    if (!cli_detect_read(path, &file)) {
        (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input", "can't read %s: %s", path,
                             strerrordesc_np(errno));
        sp_buf_clear(&file);
        return CLI_DETECT_NO_INPUT;
    }
    rc = examine(cli, path, sp_buf_bytes(&file));
    sp_buf_clear(&file);
    if (rc != SP_OK)
        return cli_detect_say(cli, CLI_DETECT_PARTIAL, sp_rc_name(rc), "%s: can't be examined",
                              path);
    if (cli->mode == CLI_DETECT_JSON)
        cli_detect_print_json(cli, path);
    else if (cli->mode == CLI_DETECT_REDACT)
        cli_detect_print_redacted(cli);
    else if (cli->mode == CLI_DETECT_TEXT)
        fwrite(cli->text.ptr, 1, cli->text.len, stdout);
    else
        print_words(cli, path);
    if (cli->result.partial)
        return CLI_DETECT_PARTIAL;
    return cli->result.class >= SP_DETECT_PHI ? CLI_DETECT_PHI : CLI_DETECT_OK;
}

/* The worst of what the files came to: unreadable, then partial, then PHI. */
static int all_files(struct cli_detect *cli, const struct cli_values *files)
{
    int worst = CLI_DETECT_OK;

    for (size_t i = 0; i < files->count; i++) {
        int code = one_file(cli, files->items[i]);

        worst = code > worst ? code : worst;
    }
    return worst;
}

/* returns: CLI_DETECT_OK, CLI_DETECT_USAGE after saying what is wrong. files: has room for all arguments */
static int take_options(struct cli_detect *cli, struct cli_args args, struct cli_values *files)
{
    static const char *const names[] = {[CLI_DETECT_JSON] = "--json",
                                        [CLI_DETECT_REDACT] = "--redact",
                                        [CLI_DETECT_TEXT] = "--text",
                                        [CLI_DETECT_LINES] = "--lines"};
    bool wanted[SP_ARRAY_LEN(names)] = {false};
    struct cli_option options[SP_ARRAY_LEN(names) + 1] = {{"--own", .value = &cli->own_path}};
    const char *word;
    size_t count = 1;

    for (unsigned m = CLI_DETECT_JSON; m < SP_ARRAY_LEN(names); m++)
        options[count++] = (struct cli_option){names[m], .is_on = &wanted[m]};
    while ((word = cli_next_word(&args, options, count)) != NULL)
        files->items[files->count++] = word;
    if (args.wrong != NULL)
        return cli_detect_wrong(cli, args.wrong, args.why);
    if (wanted[CLI_DETECT_REDACT] + wanted[CLI_DETECT_TEXT] +
            (wanted[CLI_DETECT_JSON] || wanted[CLI_DETECT_LINES]) >
        1)
        return cli_detect_wrong(cli, "", "one of --json, --redact and --text, or --lines");
    for (unsigned m = CLI_DETECT_JSON; m < SP_ARRAY_LEN(names); m++)
        cli->mode = wanted[m] ? m : cli->mode; /* --lines answers in JSON anyway */
    if (cli->mode == CLI_DETECT_LINES ? files->count <= 1 : files->count > 0)
        return CLI_DETECT_OK;
    return cli_detect_wrong(cli, "", files->count == 0 ? "which files?" : "one file at most");
}

/* The detector is there. */
static int judge(struct cli_detect *cli, const struct cli_values *files)
{
    if (cli->own_path != NULL && !cli_detect_own(cli, cli->own_path))
        return CLI_DETECT_NO_INPUT;
    return cli->mode == CLI_DETECT_LINES
               ? cli_detect_lines(cli, files->count == 1 ? files->items[0] : "-")
               : all_files(cli, files);
}

static int run(struct cli_detect *cli, const struct cli_values *files)
{
    struct sp_err err = {0};
    int code;

    if (sp_detect_new(&cli->detect, &err) != SP_OK)
        return cli_detect_say(cli, CLI_DETECT_PARTIAL, "failed", "%s", err.text);
    cli->arena = sp_arena_new(65536);
    sp_buf_init(&cli->text, CLI_DETECT_TEXT_MAX);
    sp_buf_init(&cli->index, CLI_DETECT_FILE_MAX);
    code = judge(cli, files);
    sp_buf_wipe(&cli->text);
    sp_arena_free(cli->arena);
    sp_detect_own_free(cli->own);
    sp_buf_clear(&cli->index);
    sp_detect_free(cli->detect);
    return code;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct cli_detect cli = {.json = cli_wants_json(argc, argv)};
    struct cli_args args = {.argc = argc - 2, .argv = argv + 2};
    struct cli_values files = {.max = (size_t)argc};
    int code;

    if (wants_help(argc, argv)) {
        fputs(usage, stdout);
        return cli_flush(&(struct cli_voice){.name = "sallyport detect"}, CLI_DETECT_OK,
                         CLI_DETECT_NO_OUTPUT);
    }
    if (argc > 2 && strcmp(argv[2], "index") == 0) {
        code = cli_detect_index(&cli, (struct cli_args){.argc = argc - 3, .argv = argv + 3});
    } else {
        files.items = sp_calloc((size_t)argc, sizeof(*files.items));
        code = take_options(&cli, args, &files);
        if (code == CLI_DETECT_OK)
            code = run(&cli, &files);
        sp_free(files.items);
    }
    if (fflush(stdout) != 0 || ferror(stdout) != 0)
        code = cli_detect_say(&cli, CLI_DETECT_NO_OUTPUT, "output", "standard output: %s",
                              strerrordesc_np(errno));
    return code;
}
