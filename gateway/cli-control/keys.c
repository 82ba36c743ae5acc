/*
 * `sallyport keys`: recipients' certificates and PGP keys in the keeper's store.
 */
#include "gateway/cli-control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define QUESTION_MAX ((size_t)2 << 20)
#define IMPORT_MAX   ((size_t)1 << 20)
#define BLOCK_LEN    65536

static void begin(struct sp_buf *question, struct sp_jw *w, const char *command)
{
    sp_buf_init(question, QUESTION_MAX);
    sp_jw_init(w, question);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "command", command);
}

static void ask(const struct control *c, struct sp_buf *question, struct sp_jw *w,
                struct control_answer *answer)
{
    if (c->reason != NULL)
        sp_jw_cstr(w, "reason", c->reason);
    sp_jw_end(w);
    control_ask(c, sp_buf_bytes(question), answer);
    sp_buf_clear(question);
}

static struct sp_bytes or_dash(struct sp_bytes text)
{
    return text.len > 0 ? text : SP_LIT("-");
}

/* ---- keys ---- */

static void add_key(struct table *t, const struct sp_json *key)
{
    const struct sp_json *list = sp_json_find(key, "addresses");
    struct sp_bytes address = sp_json_text_of(key, "address");
    struct sp_bytes cells[6];

    if (address.len == 0 && list != NULL && list->first != NULL)
        address = list->first->text;
    cells[0] = sp_json_text_of(key, "id");
    cells[1] = or_dash(sp_json_text_of(key, "kind"));
    cells[2] = or_dash(address);
    cells[3] = or_dash(sp_json_text_of(key, "not_after"));
    cells[4] = or_dash(sp_json_text_of(key, "trust"));
    cells[5] = sp_json_bool_of(key, "usable", false) ? SP_LIT("yes")
                                                     : or_dash(sp_json_text_of(key, "why"));
    table_add(t, cells);
}

struct listing {
    const struct control *c;
    struct table *table;
    size_t count;
    char after[128]; /* id of the page's end; "" to begin and at the end */
    bool begun;      /* something of the answer is written: it is ended, too */
};

static void take_keys(struct listing *l, const struct sp_json *list)
{
    const struct sp_json *key = list == NULL ? NULL : list->first;
    struct sp_buf text;

    sp_buf_init(&text, QUESTION_MAX);
    for (; key != NULL; key = key->next) {
        l->count++;
        sp_buf_reset(&text);
        if (!l->c->json)
            add_key(l->table, key);
        else if (sp_json_canonical(key, &text) == SP_OK)
            (void)printf("%s%.*s", l->count == 1 ? "" : ",", SP_FMT(sp_buf_bytes(&text)));
    }
    sp_buf_clear(&text);
}

static int list_page(struct listing *l)
{
    const char *address = l->c->word_count > 2 ? l->c->words[2] : NULL;
    struct control_answer answer;
    struct sp_buf question;
    struct sp_bytes next;
    struct sp_jw w;
    int code;

    begin(&question, &w, "keys.list");
    if (address != NULL)
        sp_jw_cstr(&w, "address", address);
    if (l->after[0] != 0)
        sp_jw_cstr(&w, "after", l->after);
    ask(l->c, &question, &w, &answer);
    code = answer.code;
    if (code == CONTROL_OK && !l->begun && l->c->json)
        (void)printf("{\"keys\":[");
    l->begun = l->begun || code == CONTROL_OK;
    l->after[0] = 0;
    if (code == CONTROL_OK) {
        take_keys(l, sp_json_find(answer.result, "keys"));
        next = sp_json_text_of(answer.result, "next");
        if (next.len > 0 && next.len < sizeof(l->after)) {
            memcpy(l->after, next.ptr, next.len);
            l->after[next.len] = 0;
        }
    }
    control_answer_clear(&answer);
    return code;
}

static int list_keys(const struct control *c)
{
    static const char *const heads[] = {"KEY", "KIND", "ADDRESS", "NOT AFTER", "TRUST", "USABLE"};
    struct listing l = {.c = c};
    int code;

    l.table = table_new(heads, SP_ARRAY_LEN(heads));
    do {
        code = list_page(&l);
    } while (code == CONTROL_OK && l.after[0] != 0);
    if (l.begun && c->json)
        (void)printf("],\"complete\":%s}\n", code == CONTROL_OK ? "true" : "false");
    else if (code == CONTROL_OK)
        table_print(l.table);
    table_free(l.table);
    return code;
}

static void print_members(const struct sp_json *object)
{
    for (const struct sp_json *m = object == NULL ? NULL : object->first; m != NULL; m = m->next) {
        struct sp_buf text;

        sp_buf_init(&text, QUESTION_MAX);
        if (m->type == SP_JSON_TEXT)
            sp_buf_put(&text, m->text);
        else if (sp_json_canonical(m, &text) != SP_OK)
            sp_buf_reset(&text);
        (void)printf("%-14.*s %.*s\n", SP_FMT(m->key), SP_FMT(sp_buf_bytes(&text)));
        sp_buf_clear(&text);
    }
}

static int one_key(const struct control *c, const char *command, const char *member)
{
    struct control_answer answer;
    struct sp_buf question;
    struct sp_jw w;
    int code;

    if (c->word_count != 3)
        return control_usage(c, "which key?");
    begin(&question, &w, command);
    sp_jw_cstr(&w, "id", c->words[2]);
    ask(c, &question, &w, &answer);
    code = answer.code;
    if (code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK && member != NULL)
        print_members(sp_json_find(answer.result, member));
    else if (code == CONTROL_OK)
        (void)printf("%s: removed\n", c->words[2]);
    control_answer_clear(&answer);
    return code;
}

static bool read_input(const char *path, struct sp_buf *out)
{
    bool from_stdin = strcmp(path, "-") == 0;
    int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return false;
    while (n > 0) {
        uint8_t *at = sp_buf_reserve(out, BLOCK_LEN);

        errno = EFBIG;
        n = at == NULL ? -1 : read(fd, at, BLOCK_LEN);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    }
    if (!from_stdin)
        close(fd);
    return n == 0;
}

static int import_key(const struct control *c)
{
    struct control_answer answer;
    struct sp_buf question;
    struct sp_buf file;
    struct sp_buf data;
    struct sp_jw w;
    int code;

    if (c->word_count != 3)
        return control_usage(c, "which file?");
    sp_buf_init(&file, IMPORT_MAX + BLOCK_LEN);
    if (!read_input(c->words[2], &file) || file.len > IMPORT_MAX) {
        code = control_say(c, CONTROL_NO_INPUT, "input", "%s can't be read: %s", c->words[2],
                           strerrordesc_np(file.len > IMPORT_MAX ? EFBIG : errno));
        sp_buf_clear(&file);
        return code;
    }
    sp_buf_init(&data, QUESTION_MAX);
    sp_base64_encode(&data, sp_buf_bytes(&file));
    begin(&question, &w, "keys.import");
    sp_jw_text(&w, "data", sp_buf_bytes(&data));
    sp_jw_bool(&w, "pin", !c->no_pin);
    ask(c, &question, &w, &answer);
    sp_buf_clear(&data);
    sp_buf_clear(&file);
    code = answer.code;
    if (code == CONTROL_OK && c->json)
        control_print_json(answer.result);
    else if (code == CONTROL_OK)
        print_members(sp_json_find(answer.result, "imported"));
    control_answer_clear(&answer);
    return code;
}

int control_keys(const struct control *c)
{
    const char *verb = c->words[1];

    if (strcmp(verb, "list") == 0)
        return list_keys(c);
    if (strcmp(verb, "show") == 0)
        return one_key(c, "keys.show", "key");
    if (strcmp(verb, "remove") == 0)
        return one_key(c, "keys.remove", NULL);
    if (strcmp(verb, "import") == 0)
        return import_key(c);
    return control_usage(c, "keys: list, show, import or remove");
}
