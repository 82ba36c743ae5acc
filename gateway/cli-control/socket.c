/*
 * One question over the control socket. Plain blocking calls: this process has nothing else to do. Only the end of a
 * question that may have changed something is "unknown"; not getting through at all is "absent".
 */
#include "gateway/cli-control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"

#define QUESTION_MAX 16384

#define SETTINGS_MAX   ((size_t)16 << 20)
#define BLOCK_LEN      65536
#define WAIT_SECONDS   60
#define PATH_BYTES_MAX 4096

static bool read_settings(const char *path, struct sp_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;

    if (fd < 0)
        return false;
    while (n > 0) {
        uint8_t *at = sp_buf_reserve(out, BLOCK_LEN);

        if (at == NULL)
            break;
        n = read(fd, at, BLOCK_LEN);
        if (n > 0)
            sp_buf_commit(out, (size_t)n);
    }
    close(fd);
    return n == 0;
}

int control_settings(const struct control *c, struct sp_config **out)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    struct sp_err err = {0};
    struct sp_buf text;

    *out = NULL;
    sp_buf_init(&text, SETTINGS_MAX);
    if (!read_settings(c->config, &text))
        (void)sp_fail_errno(&err, SP_E_IO, errno, "settings");
    else if (sp_config_load(sp_buf_bytes(&text), c->config, problems, out) != SP_OK)
        (void)sp_problems_rc(problems, &err);
    sp_buf_clear(&text);
    return *out != NULL ? CONTROL_OK
                        : control_say(c, CONTROL_NO_INPUT, "input", "%s: %s", c->config, err.text);
}

static int say_too_long(const struct control *c, const char *path)
{
    return control_say(c, CONTROL_ABSENT, "absent", "%s: too long for a socket's name", path);
}

/* The socket that the settings name. out: PATH_BYTES_MAX bytes */
static int find_socket(const struct control *c, char *out)
{
    SP_AUTO(sp_config) config = NULL;
    const char *name;
    int code;
    int n;

    if (c->socket != NULL)
        return snprintf(out, PATH_BYTES_MAX, "%s", c->socket) < PATH_BYTES_MAX
                   ? CONTROL_OK
                   : say_too_long(c, c->socket);
    code = control_settings(c, &config);
    if (code != CONTROL_OK)
        return code;
    name = config->admin.socket;
    n = name[0] == '/' ? snprintf(out, PATH_BYTES_MAX, "%s", name)
                       : snprintf(out, PATH_BYTES_MAX, "%s/%s", config->state_dir, name);
    return n > 0 && n < PATH_BYTES_MAX
               ? CONTROL_OK
               : control_say(c, CONTROL_NO_INPUT, "input", "%s: admin.socket: too long", c->config);
}

static int dial(const struct control *c, int *out)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = WAIT_SECONDS};
    char path[PATH_BYTES_MAX];
    struct sp_err err = {0};
    int code = find_socket(c, path);
    int fd;

    if (code != CONTROL_OK)
        return code;
    if (strlen(path) >= sizeof(to.sun_path))
        return say_too_long(c, path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) { /* connecting may wait, too */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    }
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        bool is_denied = errno == EACCES || errno == EPERM;

        (void)sp_fail_errno(&err, SP_E_IO, errno,
                            is_denied ? "this user may not ask at %s" : "no gateway answers at %s",
                            path);
        if (fd >= 0)
            close(fd);
        if (is_denied)
            return control_say(c, CONTROL_REFUSED, "denied", "%s", err.text);
        return control_say(c, CONTROL_ABSENT, "absent", "%s", err.text);
    }
    *out = fd;
    return CONTROL_OK;
}

static bool send_all(int fd, struct sp_bytes data)
{
    while (data.len > 0) {
        ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data = sp_bytes_slice(data, (size_t)n, SIZE_MAX);
    }
    return true;
}

/* The first line; what came behind it stays in the buffer. returns: its length, or SIZE_MAX */
static size_t receive_line(int fd, struct sp_buf *in)
{
    size_t looked = 0;

    for (;;) {
        size_t end = sp_bytes_find(sp_bytes_slice(sp_buf_bytes(in), looked, SIZE_MAX), '\n');
        uint8_t *at;
        ssize_t n;

        if (end != SIZE_MAX)
            return looked + end;
        looked = in->len;
        at = sp_buf_reserve(in, BLOCK_LEN);
        n = at == NULL ? -1 : recv(fd, at, BLOCK_LEN, 0);
        if (n < 0 && at != NULL && errno == EINTR)
            continue;
        if (n <= 0)
            return SIZE_MAX;
        sp_buf_commit(in, (size_t)n);
    }
}

static int judge(const struct control *c, const struct sp_json *root)
{
    struct sp_bytes error = sp_json_text_of(root, "error");
    struct sp_bytes detail = sp_json_text_of(root, "detail");
    int code = CONTROL_REFUSED;
    char name[64];

    if (sp_json_bool_of(root, "ok", false))
        return CONTROL_OK;
    if (sp_bytes_eq(error, SP_LIT("unknown")))
        code = CONTROL_UNKNOWN;
    else if (sp_bytes_eq(error, SP_LIT("usage")))
        code = CONTROL_USAGE;
    (void)snprintf(name, sizeof(name), "%.*s", SP_FMT(error));
    if (!c->quiet && c->json)
        (void)control_say(c, code, name, "%.*s", SP_FMT(detail));
    else if (!c->quiet)
        (void)control_say(c, code, name, "%s: %.*s", name, SP_FMT(detail));
    return code;
}

/* An answer's line as JSON. */
static int read_line(const struct control *c, struct sp_bytes line, struct control_answer *a)
{
    struct sp_err err = {0};
    int code;

    if (sp_json_parse(line, NULL, &a->json, &err) != SP_OK)
        return control_say(c, CONTROL_UNKNOWN, "unknown", "the answer: %s", err.text);
    code = judge(c, sp_json_root(a->json));
    if (code == CONTROL_OK) {
        a->result = sp_json_find(sp_json_root(a->json), "result");
        a->file_len = (uint64_t)sp_json_int_of(sp_json_root(a->json), "file_len", 0);
    }
    return code;
}

static int say_no_answer(const struct control *c)
{
    return control_say(c, CONTROL_UNKNOWN, "unknown",
                       "no answer: whether it was done is unknown, repeat");
}

static int read_answer(const struct control *c, struct control_answer *a)
{
    size_t end = receive_line(a->fd, &a->rest);
    int code;

    if (end == SIZE_MAX)
        return say_no_answer(c);
    code = read_line(c, sp_bytes(a->rest.ptr, end), a);
    sp_buf_drop(&a->rest, end + 1);
    return code;
}

static int say_cut(const struct control *c)
{
    return control_say(c, CONTROL_UNKNOWN, "unknown",
                       "the question could not be sent whole: repeat");
}

void control_ask(const struct control *c, struct sp_bytes question, struct control_answer *out)
{
    *out = (struct control_answer){.fd = -1};
    sp_buf_init(&out->rest, CONTROL_LINE_MAX);
    out->code = dial(c, &out->fd);
    if (out->code != CONTROL_OK)
        return;
    if (!send_all(out->fd, question) || !send_all(out->fd, SP_LIT("\n")))
        out->code = say_cut(c);
    else
        out->code = read_answer(c, out);
}

/* ---- many questions ---- */

void control_talk_init(struct control_talk *t)
{
    *t = (struct control_talk){.fd = -1};
    sp_buf_init(&t->rest, CONTROL_LINE_MAX);
}

static void hang_up(struct control_talk *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->stays = false;
    sp_buf_reset(&t->rest);
}

void control_talk_clear(struct control_talk *t)
{
    hang_up(t);
    sp_buf_clear(&t->rest);
}

int control_talk_send(const struct control *c, struct control_talk *t, struct sp_bytes question)
{
    int code = t->fd < 0 ? dial(c, &t->fd) : CONTROL_OK;

    sp_assert(question.len > 2 && question.ptr[0] == '{');
    if (code != CONTROL_OK)
        return code;
    if (send_all(t->fd, SP_LIT("{\"keep\":true,")) &&
        send_all(t->fd, sp_bytes_slice(question, 1, SIZE_MAX)) && send_all(t->fd, SP_LIT("\n")))
        return CONTROL_OK;
    return say_cut(c);
}

void control_talk_hear(const struct control *c, struct control_talk *t, struct control_answer *out)
{
    size_t end = t->fd < 0 ? SIZE_MAX : receive_line(t->fd, &t->rest);

    *out = (struct control_answer){.fd = -1, .code = CONTROL_UNKNOWN};
    sp_buf_init(&out->rest, CONTROL_LINE_MAX);
    if (end == SIZE_MAX && t->fd >= 0) /* said once, of all that are under way */
        out->code = say_no_answer(c);
    if (end != SIZE_MAX) {
        out->code = read_line(c, sp_bytes(t->rest.ptr, end), out);
        t->stays = out->json != NULL && sp_json_bool_of(sp_json_root(out->json), "keep", false);
        sp_buf_drop(&t->rest, end + 1);
    }
    if (!t->stays || end == SIZE_MAX)
        hang_up(t);
}

void control_answer_clear(struct control_answer *a)
{
    sp_json_doc_free(a->json);
    sp_buf_clear(&a->rest);
    if (a->fd >= 0)
        close(a->fd);
    *a = (struct control_answer){.fd = -1};
}

static bool write_all(int fd, struct sp_bytes data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data = sp_bytes_slice(data, (size_t)n, SIZE_MAX);
    }
    return true;
}

int control_save(const struct control *c, struct control_answer *a, int fd)
{
    struct sp_bytes first = sp_bytes_slice(sp_buf_bytes(&a->rest), 0, (size_t)a->file_len);
    uint8_t block[4096];
    uint64_t left = a->file_len - first.len;

    if (!write_all(fd, first))
        return CONTROL_NO_OUTPUT;
    while (left > 0) {
        size_t len = left < sizeof(block) ? (size_t)left : sizeof(block);
        ssize_t n = recv(a->fd, block, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return control_say(c, CONTROL_UNKNOWN, "unknown", "the answer was cut: repeat");
        if (!write_all(fd, sp_bytes(block, (size_t)n)))
            return CONTROL_NO_OUTPUT;
        left -= (uint64_t)n;
    }
    return CONTROL_OK;
}

void control_print_json(const struct sp_json *value)
{
    struct sp_buf text;

    sp_buf_init(&text, CONTROL_LINE_MAX);
    if (sp_json_canonical(value, &text) == SP_OK)
        (void)printf("%.*s\n", SP_FMT(sp_buf_bytes(&text)));
    sp_buf_clear(&text);
}

int control_ask_about(const struct control *c, const char *command,
                      const struct control_member *members, size_t count,
                      struct control_answer *out)
{
    struct sp_buf question;
    struct sp_jw w;

    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", command);
    for (size_t i = 0; i < count; i++)
        if (members[i].value != NULL)
            sp_jw_cstr(&w, members[i].key, members[i].value);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), out);
    sp_buf_clear(&question);
    if (out->code == CONTROL_OK && c->json && !c->inner && !c->mute)
        control_print_json(out->result);
    return out->code;
}
