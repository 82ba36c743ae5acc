/*
 * `sallyport`: the command line. It knows which program answers which words and becomes that program, so that it links
 * almost nothing itself; only `serve`, the supervisor, runs here.
 */
#include "gateway/cli/refusal.h"
#include "gateway/sallyport/supervisor.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_USAGE     64
#define EXIT_NO_OUTPUT 73

static const struct command {
    const char *word, *second; /* second NULL: whatever follows */
    const char *program;
    const char *help;
} commands[] = {
    {"check", NULL, "cli-policy", "validate the configuration and say what it would do"},
    {"policy", "approve", "cli-control", "be the second person of a policy version"},
    {"policy", "proposals", "cli-control", "policy versions that wait for a second person"},
    {"policy", NULL, "cli-policy", "check, test, list, publish, stage and replay policies"},
    {"preference", NULL, "cli-policy", "what recipients want: set, show, list, remove"},
    {"explain", NULL, "cli-policy", "say how a message would be decided, and why"},
    {"detect", NULL, "cli-detect", "say what of PHI is in files"},
    {"settings", NULL, "cli-policy", "print the reference of all settings"},
    {"tenant", "check", "cli-tenant", "say what of a tenant's setting up is done and what is not"},
    {"providers", NULL, "cli-tenant", "refresh, list: networks of mail providers, from DNS"},
    {"directory", NULL, "cli-tenant", "import, refresh, list: lists of people, by CSV and LDAP"},
    {"tenant", NULL, "cli-policy", "add a tenant, list and show them"},
    {"dkim", NULL, "cli-dkim", "keygen, dns, check: keys that sign, and what of them is in DNS"},
    {"audit", "verify", "cli-audit", "find any changed, dropped, added or cut audit line"},
    {"audit", NULL, "cli-control", "prove, show, find, reveal, status: what became of a message"},
    {"queue", "check", "cli-spool", "read every message of the spool and tell damage"},
    {"queue", "repair", "cli-spool", "give up, on record, what nobody can read any more"},
    {"queue", "backup", "cli-spool", "copy spool, audit and packages while the gateway runs"},
    {"queue", "restore", "cli-spool", "put a backup into an empty state folder"},
    {"queue", NULL, "cli-control",
     "list, sites, show, count, hold, release, retry, delete, freeze, drain"},
    {"trace", NULL, "cli-control", "what became of a message, a line a recipient"},
    {"keys", "rotate", "cli-spool", "a new generation of the key that deletion rests on"},
    {"keys", NULL, "cli-control", "list, show, import, remove recipients' keys"},
    {"posture", NULL, "cli-control", "what domains have proved: list, show, accept, forget"},
    {"suppression", NULL, "cli-control", "list, add, remove addresses that are not tried"},
    {"probe", NULL, "cli-control", "what a domain's hosts can prove, and what mail to it would do"},
    {"tlsrpt", NULL, "cli-control", "show: sessions and reports of TLS (RFC 8460)"},
    {"upgrade", NULL, "cli-control", "let the program that is now installed take over"},
    {"status", NULL, "cli-control", "what the running gateway does"},
};

static void print_help(FILE *to)
{
    fprintf(to, "usage: sallyport COMMAND ...\n\n"
                "  serve ...            run the gateway\n");
    for (size_t i = 0; i < SP_ARRAY_LEN(commands); i++) {
        char words[40];

        snprintf(words, sizeof(words), "%s %s", commands[i].word,
                 commands[i].second == NULL ? "..." : commands[i].second);
        fprintf(to, "  %-20s %s\n", words, commands[i].help);
    }
    fprintf(to, "\nEach says more with --help. Version %s.\n", SP_VERSION);
}

static int become(const char *program, int argc, char **argv)
{
    const struct cli_voice voice = {cli_wants_json(argc, argv), "sallyport"};
    char self[PATH_LEN_MAX], path[PATH_LEN_MAX + 100];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n <= 0)
        return cli_refuse(&voice, EXIT_FAILURE, "absent", "/proc/self/exe: %s",
                          strerrordesc_np(errno));
    self[n] = '\0';
    snprintf(path, sizeof(path), "%s/../libexec/" SP_LIBEXEC_NAME "/%s", dirname(self), program);
    execv(path, argv);
    return cli_refuse(&voice, EXIT_FAILURE, "absent", "%s: %s", path,
                      errno == ENOENT ? "not installed" : "can't run");
}

/* returns: the command that was meant as it seems; NULL: none is near */
static const char *nearest(const char *word)
{
    const char *found = NULL;
    unsigned best = 3;

    for (size_t i = 0; i <= SP_ARRAY_LEN(commands); i++) {
        const char *name = i < SP_ARRAY_LEN(commands) ? commands[i].word : "serve";
        unsigned distance = sp_text_distance(sp_bytes_cstr(name), sp_bytes_cstr(word), 2);

        if (distance < best) {
            best = distance;
            found = name;
        }
    }
    return found;
}

static int refuse(int argc, char **argv)
{
    const struct cli_voice voice = {cli_wants_json(argc, argv), "sallyport"};
    const char *meant = argc >= 2 ? nearest(argv[1]) : NULL;

    if (meant != NULL) /* the list of all would push it off the screen */
        return cli_refuse(&voice, EXIT_USAGE, "usage",
                          "there is no command \"%s\"; did you mean \"%s\"?", argv[1], meant);
    if (argc >= 2)
        (void)cli_refuse(&voice, EXIT_USAGE, "usage", "there is no command \"%s\"", argv[1]);
    else
        (void)cli_refuse(&voice, EXIT_USAGE, "usage", "which command?");
    if (!voice.json)
        print_help(stderr);
    return EXIT_USAGE;
}

/*
 * A standard descriptor that is closed would be given to the next file that is opened, and what is printed would go there: into the
 * control socket, or a backup. What stands in its place can't be used the way it would be, so that a command says so.
 */
static void fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/*
 * Commands read keys and mail, and a core lies on the disk in the clear. One byte, and not none: a program that cores are piped
 * to (core_pattern) is asked for none then, while it would see to a limit of nothing itself, or not.
 */
static void leave_no_core(void)
{
    static const struct rlimit one = {1, 1}, none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &one) != 0)
        (void)setrlimit(RLIMIT_CORE, &none); /* there was a hard limit already */
}

int main(int argc, char **argv)
{
    const struct cli_voice voice = {.name = "sallyport"};

    fill_standard();
    leave_no_core();
    if (argc >= 2 && strcmp(argv[1], "serve") == 0)
        return serve_main(argc - 1, argv + 1);
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        printf("sallyport %s\n", SP_VERSION);
        return cli_flush(&voice, EXIT_SUCCESS, EXIT_NO_OUTPUT);
    }
    for (size_t i = 0; argc >= 2 && i < SP_ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];

        if (strcmp(argv[1], c->word) == 0 &&
            (c->second == NULL || (argc >= 3 && strcmp(argv[2], c->second) == 0)))
            return become(c->program, argc, argv);
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return cli_flush(&voice, EXIT_SUCCESS, EXIT_NO_OUTPUT);
    }
    return refuse(argc, argv);
}
