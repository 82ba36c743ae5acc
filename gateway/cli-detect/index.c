/*
 * `sallyport detect index FILE.json PATIENTS.csv`: makes FILE.index, keyed HMACs of the names and numbers in a list of patients,
 * so that the detector knows them without anybody storing them; and, the first time, FILE.key. The first row of the list
 * names its columns. The list itself is not needed any more afterwards.
 */
#include "gateway/cli-detect/cli.h"

#include "base/clock.h"
#include "base/text.h"

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS_MAX  256
#define PATH_LEN_MAX 4096
#define HEADING_MAX  64

enum meaning { MEANS_NOTHING, MEANS_GIVEN, MEANS_FAMILY, MEANS_FULL, MEANS_VALUE };

struct column {
    enum meaning meaning;
    enum sp_detect_type type; /* of a value */
};

struct list {
    struct cli_detect *cli;
    struct sp_detect_index *index;
    struct column columns[COLUMNS_MAX];
    size_t column; /* of the field that comes next */
    size_t row;    /* 0: the heading */
    struct sp_buf given, family;
    size_t people, values, useless; /* useless: rows that gave nothing */
    size_t of_row;
};

static const struct {
    const char *heading;
    enum meaning meaning;
    enum sp_detect_type type;
} headings[] = {
    {"first name", MEANS_GIVEN, 0},
    {"given name", MEANS_GIVEN, 0},
    {"firstname", MEANS_GIVEN, 0},
    {"first", MEANS_GIVEN, 0},
    {"given", MEANS_GIVEN, 0},
    {"last name", MEANS_FAMILY, 0},
    {"family name", MEANS_FAMILY, 0},
    {"lastname", MEANS_FAMILY, 0},
    {"surname", MEANS_FAMILY, 0},
    {"last", MEANS_FAMILY, 0},
    {"family", MEANS_FAMILY, 0},
    {"name", MEANS_FULL, 0},
    {"full name", MEANS_FULL, 0},
    {"patient", MEANS_FULL, 0},
    {"patient name", MEANS_FULL, 0},
    {"member name", MEANS_FULL, 0},
    {"mrn", MEANS_VALUE, SP_DETECT_MRN},
    {"medical record number", MEANS_VALUE, SP_DETECT_MRN},
    {"chart", MEANS_VALUE, SP_DETECT_MRN},
    {"chart number", MEANS_VALUE, SP_DETECT_MRN},
    {"patient id", MEANS_VALUE, SP_DETECT_MRN},
    {"ssn", MEANS_VALUE, SP_DETECT_US_SSN},
    {"social security number", MEANS_VALUE, SP_DETECT_US_SSN},
    {"member id", MEANS_VALUE, SP_DETECT_HEALTH_PLAN_ID},
    {"subscriber id", MEANS_VALUE, SP_DETECT_HEALTH_PLAN_ID},
    {"policy number", MEANS_VALUE, SP_DETECT_HEALTH_PLAN_ID},
    {"medicaid id", MEANS_VALUE, SP_DETECT_HEALTH_PLAN_ID},
    {"mbi", MEANS_VALUE, SP_DETECT_MBI},
    {"medicare number", MEANS_VALUE, SP_DETECT_MBI},
    {"account", MEANS_VALUE, SP_DETECT_ACCOUNT},
    {"account number", MEANS_VALUE, SP_DETECT_ACCOUNT},
    {"phone", MEANS_VALUE, SP_DETECT_PHONE},
    {"telephone", MEANS_VALUE, SP_DETECT_PHONE},
    {"mobile", MEANS_VALUE, SP_DETECT_PHONE},
};

/* ---- the heading ---- */

static void set_column(struct list *l, struct sp_bytes text)
{
    char heading[HEADING_MAX + 1];
    size_t len = 0;
    enum sp_detect_type type = sp_detect_type_of(text);

    if (l->column >= COLUMNS_MAX)
        return;
    for (size_t i = 0; i < text.len && len < HEADING_MAX; i++)
        heading[len++] = text.ptr[i] == '_' ? ' ' : (char)sp_ascii_lower(text.ptr[i]);
    heading[len] = '\0';
    for (size_t i = 0; i < SP_ARRAY_LEN(headings); i++)
        if (strcmp(heading, headings[i].heading) == 0) {
            l->columns[l->column] = (struct column){headings[i].meaning, headings[i].type};
            return;
        }
    if (type != SP_DETECT_TYPES)
        l->columns[l->column] = (struct column){MEANS_VALUE, type};
    else
        (void)cli_detect_say(l->cli, CLI_DETECT_OK, "remark", "index: column \"%s\" is left out",
                             heading);
}

static bool has_columns(const struct list *l)
{
    bool given = false, family = false, other = false;

    for (size_t i = 0; i < COLUMNS_MAX; i++) {
        given = given || l->columns[i].meaning == MEANS_GIVEN;
        family = family || l->columns[i].meaning == MEANS_FAMILY;
        other = other || l->columns[i].meaning >= MEANS_FULL;
    }
    return other || (given && family);
}

/* ---- rows ---- */

static void add_name(struct list *l, struct sp_bytes given, struct sp_bytes family)
{
    bool added = sp_detect_index_add_name(l->index, given, family);

    l->people += added;
    l->of_row += added;
}

/* "Family, Given M." or "Given M. Family" */
static void add_full(struct list *l, struct sp_bytes text)
{
    size_t comma = sp_bytes_find(text, ','), first, last = text.len;

    text = sp_bytes_trim(text);
    if (comma != SIZE_MAX) {
        struct sp_bytes rest = sp_bytes_trim(sp_bytes_slice(text, comma + 1, SIZE_MAX));

        add_name(l, sp_bytes_slice(rest, 0, sp_bytes_find(rest, ' ')),
                 sp_bytes_slice(text, 0, comma));
        return;
    }
    first = sp_bytes_find(text, ' ');
    if (first == SIZE_MAX)
        return;
    while (last > 0 && text.ptr[last - 1] != ' ')
        last--;
    add_name(l, sp_bytes_slice(text, 0, first), sp_bytes_slice(text, last, SIZE_MAX));
}

static void add_value(struct list *l, enum sp_detect_type type, struct sp_bytes text)
{
    bool added = sp_detect_index_add_value(l->index, type, text);

    l->values += added;
    l->of_row += added;
}

static void on_field(void *data, size_t len, void *arg)
{
    struct list *l = arg;
    struct sp_bytes text = sp_bytes(data, len);
    struct column c;

    if (l->row == 0) {
        if (sp_bytes_starts_nocase(text, SP_LIT("\xef\xbb\xbf")))
            text = sp_bytes_slice(text, 3, SIZE_MAX);
        set_column(l, text);
        l->column++;
        return;
    }
    c = l->column < COLUMNS_MAX ? l->columns[l->column] : (struct column){0};
    l->column++;
    if (c.meaning == MEANS_GIVEN)
        sp_buf_put(&l->given, text);
    else if (c.meaning == MEANS_FAMILY)
        sp_buf_put(&l->family, text);
    else if (c.meaning == MEANS_FULL)
        add_full(l, text);
    else if (c.meaning == MEANS_VALUE)
        add_value(l, c.type, text);
}

static void on_row(int end, void *arg)
{
    struct list *l = arg;

    (void)end;
    if (l->row > 0 && l->given.len > 0 && l->family.len > 0)
        add_name(l, sp_buf_bytes(&l->given), sp_buf_bytes(&l->family));
    l->useless += l->row > 0 && l->of_row == 0;
    sp_buf_reset(&l->given);
    sp_buf_reset(&l->family);
    l->column = l->of_row = 0;
    l->row++;
}

/* returns: false if it is no list; it has been told */
static bool read_list(struct list *l, const char *path)
{
    struct csv_parser parser;
    struct sp_buf file;
    bool ok;

    sp_buf_init(&file, CLI_DETECT_FILE_MAX);
    if (!cli_detect_read(path, &file)) {
        (void)cli_detect_say(l->cli, CLI_DETECT_NO_INPUT, "input", "index: can't read %s: %s", path,
                             strerrordesc_np(errno));
        sp_buf_clear(&file);
        return false;
    }
    ok = csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) == 0;
    if (ok) {
        ok = csv_parse(&parser, file.ptr, file.len, on_field, on_row, l) == file.len &&
             csv_fini(&parser, on_field, on_row, l) == 0;
        if (!ok)
            (void)cli_detect_say(l->cli, CLI_DETECT_NO_INPUT, "input", "index: %s: row %zu: %s",
                                 path, l->row + 1, csv_strerror(csv_error(&parser)));
        csv_free(&parser);
    }
    sp_buf_wipe(&file);
    if (ok && !has_columns(l)) {
        (void)cli_detect_say(
            l->cli, CLI_DETECT_NO_INPUT, "input",
            "index: %s: the first row names no column that is known: expected name, or first_name "
            "and last_name, mrn, ssn, member_id, mbi, account, phone",
            path);
        return false;
    }
    return ok;
}

/* ---- files ---- */

/* A new file beside the old one, then in its place: nobody reads half of it. */
static bool write_file(const char *path, struct sp_bytes data)
{
    char part[PATH_LEN_MAX];
    int fd;
    bool ok;

    if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
        return false;
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);

        if (n <= 0)
            break;
        data = sp_bytes_slice(data, (size_t)n, SIZE_MAX);
    }
    ok = data.len == 0 && fsync(fd) == 0;
    ok = close(fd) == 0 && ok && rename(part, path) == 0;
    if (!ok)
        (void)unlink(part);
    return ok;
}

/* The key beside it; a new one if there is none. returns: false if it can't be had; it has been told */
static bool load_key(const struct cli_detect *cli, const char *path, struct sp_buf *key)
{
    uint8_t fresh[SP_DETECT_EXACT_KEY_LEN];
    bool ok;

    if (cli_detect_read(path, key)) {
        if (key->len == SP_DETECT_EXACT_KEY_LEN)
            return true;
        (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input",
                             "index: %s is no key: expected %d bytes", path,
                             SP_DETECT_EXACT_KEY_LEN);
        return false;
    }
    if (errno != ENOENT) {
        (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "input", "index: can't read %s: %s", path,
                             strerrordesc_np(errno));
        return false;
    }
    sp_random_fill(sp_random_system(), fresh, sizeof(fresh));
    sp_buf_put(key, sp_bytes(fresh, sizeof(fresh)));
    sp_wipe(fresh, sizeof(fresh));
    ok = write_file(path, sp_buf_bytes(key));
    if (!ok)
        (void)cli_detect_say(cli, CLI_DETECT_NO_INPUT, "output", "index: can't write %s: %s", path,
                             strerrordesc_np(errno));
    return ok;
}

static void tell(const struct list *l, const char *out)
{
    size_t rows = l->row > 0 ? l->row - 1 : 0;
    struct sp_buf text;
    struct sp_jw w;

    if (!l->cli->json) {
        printf("%s: %zu names and %zu numbers of %zu rows; %zu rows gave nothing\n", out, l->people,
               l->values, rows, l->useless);
        return;
    }
    sp_buf_init(&text, 65536);
    sp_jw_init(&w, &text);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "file", out);
    sp_jw_int(&w, "names", (int64_t)l->people);
    sp_jw_int(&w, "numbers", (int64_t)l->values);
    sp_jw_int(&w, "rows", (int64_t)rows);
    sp_jw_int(&w, "useless", (int64_t)l->useless);
    sp_jw_end(&w);
    printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

static int make(struct list *l, const char *list, const char *out)
{
    struct sp_buf index;
    int code = CLI_DETECT_NO_INPUT;

    if (!read_list(l, list))
        return code;
    sp_buf_init(&index, (size_t)256 << 20);
    if (sp_detect_index_finish(l->index, &index) != SP_OK)
        (void)cli_detect_say(l->cli, code, "limit", "index: more than %d values",
                             SP_DETECT_EXACT_MAX);
    else if (!write_file(out, sp_buf_bytes(&index)))
        (void)cli_detect_say(l->cli, code, "output", "index: can't write %s: %s", out,
                             strerrordesc_np(errno));
    else
        code = CLI_DETECT_OK;
    if (code == CLI_DETECT_OK)
        tell(l, out);
    sp_buf_wipe(&index);
    return code;
}

int cli_detect_index(struct cli_detect *cli, struct cli_args args)
{
    const struct cli_option options[] = {{"--json", .is_on = &cli->json}};
    char index[PATH_LEN_MAX], path[PATH_LEN_MAX];
    const char *own = cli_next_word(&args, options, SP_ARRAY_LEN(options));
    const char *list = own == NULL ? NULL : cli_next_word(&args, options, SP_ARRAY_LEN(options));
    const char *more = list == NULL ? NULL : cli_next_word(&args, options, SP_ARRAY_LEN(options));
    struct sp_buf key;
    struct list *l;
    int code;

    if (args.wrong != NULL)
        return cli_detect_wrong(cli, args.wrong, args.why);
    if (list == NULL || more != NULL)
        return cli_detect_wrong(cli, "index", "give DETECTION.json and PATIENTS.csv");
    if (!cli_detect_brother(own, ".index", index, sizeof(index)) ||
        !cli_detect_brother(own, ".key", path, sizeof(path)))
        return cli_detect_wrong(cli, own, "expected a name that ends with .json");
    sp_buf_init(&key, 2 << 20);
    if (!load_key(cli, path, &key)) {
        sp_buf_wipe(&key);
        return CLI_DETECT_NO_INPUT;
    }
    l = sp_calloc(1, sizeof(*l));
    l->cli = cli;
    l->index = sp_detect_index_new(sp_buf_bytes(&key));
    sp_buf_wipe(&key);
    sp_buf_init(&l->given, 65536);
    sp_buf_init(&l->family, 65536);
    code = make(l, list, index);
    sp_buf_wipe(&l->given);
    sp_buf_wipe(&l->family);
    sp_detect_index_free(l->index);
    sp_free(l);
    return code;
}
