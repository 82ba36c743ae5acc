/*
 * What a command here needs of the running gateway it asks by running cli-control, the program that speaks with the
 * control socket: this one has no sockets.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "gateway/cli-policy/publish.h"
#include "json/json.h"

#define WORDS_MAX 16 /* of a question */
#define TRIES     20
#define PAUSE_NS  250000000

/* Its two outputs. */
struct outputs {
    int answer; /* pipe */
    int said;   /* what it could not do: a file, since nobody reads it meanwhile */
};

static void run_control(struct cli *cli, const char *const *words, const struct outputs *to)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *argv[WORDS_MAX + 3] = {"cli-control"};
    size_t count = 1;

    for (size_t i = 0; i < WORDS_MAX && words[i] != NULL; i++)
        argv[count++] = (char *)words[i];
    argv[count] = "--json";
    if (n > 0 && dup2(to->answer, STDOUT_FILENO) >= 0 && dup2(to->said, STDERR_FILENO) >= 0) {
        self[n] = 0;
        (void)execv(cli_join(cli, cli_dirname(cli, self), "cli-control"), argv);
    }
    _exit(127);
}

static int ask_once(struct cli *cli, const char *const *words, int said, struct sp_buf *out)
{
    uint8_t piece[65536];
    int ends[2], status = 1;
    ssize_t n;
    pid_t child;

    if (pipe(ends) != 0)
        return -1;
    child = fork();
    if (child == 0)
        run_control(cli, words, &(struct outputs){ends[1], said});
    (void)close(ends[1]);
    while (child > 0 && (n = read(ends[0], piece, sizeof(piece))) > 0)
        sp_buf_put(out, sp_bytes(piece, (size_t)n));
    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || sp_buf_rc(out) != SP_OK)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* One line of what it said, as ours. */
static void retell(const struct cli *cli, struct sp_bytes line, int code)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_err err;

    if (line.len > 0 && sp_json_parse(line, NULL, &doc, &err) == SP_OK)
        (void)cli_tell(cli, sp_json_int_of(sp_json_root(doc), "exit", 1) == 0 ? CLI_OK : code,
                       sp_arena_cstr(cli->arena, sp_json_text_of(sp_json_root(doc), "error")),
                       "%.*s", SP_FMT(sp_json_text_of(sp_json_root(doc), "detail")));
    else if (line.len > 0) /* what is no command's word, as a sanitizer's */
        (void)cli_tell(cli, code, "failed", "%.*s", SP_FMT(line));
}

static void retell_all(const struct cli *cli, int said, int code)
{
    uint8_t text[65536];
    ssize_t n = pread(said, text, sizeof(text), 0);
    struct sp_bytes rest = sp_bytes(text, n < 0 ? 0 : (size_t)n), line;

    while (sp_bytes_split(&rest, '\n', &line))
        retell(cli, line, code);
}

const char *cli_request(struct cli *cli)
{
    char text[SP_ID_TEXT_LEN + 1];
    struct sp_id id;

    sp_random_fill(sp_random_system(), id.b, sizeof(id.b));
    sp_id_format(&id, text);
    return sp_arena_cstr(cli->arena, sp_bytes_cstr(text));
}

int cli_ask_gateway(struct cli *cli, const char *const *words, int code, struct sp_buf *out)
{
    const struct timespec pause = {0, PAUSE_NS};
    int said = memfd_create("said", MFD_CLOEXEC);
    int result = said < 0 ? -1 : ask_once(cli, words, said, out);

    /* a role has just been started anew */
    for (int i = 1; result == CLI_ASK_UNKNOWN && i < TRIES; i++) {
        (void)nanosleep(&pause, NULL);
        sp_buf_reset(out);
        if (ftruncate(said, 0) != 0 || lseek(said, 0, SEEK_SET) != 0)
            break;
        result = ask_once(cli, words, said, out);
    }
    if (said >= 0) {
        retell_all(cli, said, code);
        (void)close(said);
    } else {
        (void)cli_tell(cli, code, "failed", "the gateway can't be asked: %s",
                       strerrordesc_np(errno));
    }
    return result;
}
