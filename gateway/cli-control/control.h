/*
 * The command line's half that speaks with a running gateway: it asks the admin role over its control socket and prints
 * the answer as a table or as JSON.
 */
#ifndef SP_CLI_CONTROL_CONTROL_H
#define SP_CLI_CONTROL_CONTROL_H

#include "base/text.h"
#include "json/json.h"

/* Exit codes; those above 63 are sysexits.h's. */
enum {
    CONTROL_OK = 0,
    CONTROL_REFUSED = 1,   /* asked and refused, or no such thing */
    CONTROL_USAGE = 64,    /* wrong arguments */
    CONTROL_NO_INPUT = 66, /* a file can't be read */
    CONTROL_ABSENT = 69,   /* no gateway answers */
    CONTROL_NO_OUTPUT = 73,
    CONTROL_UNKNOWN = 75, /* whether it was done is unknown: repeat */
};

#define CONTROL_LINE_MAX ((size_t)32 << 20)

struct sp_config;

#define CONTROL_SILENT_MAX 256

/* Relays that did not answer: what is asked later leaves them out, and so waits for them no more. */
struct control_silent {
    int64_t relays[CONTROL_SILENT_MAX];
    size_t count;
};

struct control {
    const char *config; /* --config */
    const char *socket; /* --socket */
    const char *reason;
    const char *output;
    const char *until;
    const char *n;
    const char *state;
    const char *sender;
    const char *recipient;
    const char *tenant;
    const char *rule;
    const char *limit;
    const char *day;
    const char *network_id;
    const char *site;
    const char *host;
    const char *by;
    const char *to;
    const char *route;
    const char *folder;
    const char *entry;   /* JSON, of a preference */
    const char *request; /* the id of an act that may be asked for again */
    bool json;
    bool no_pin;
    bool now;
    bool dry_run;
    bool help;
    bool quiet; /* what is refused is not told */
    bool inner; /* an answer is part of another one, and not printed */
    bool mute;  /* nothing is told, and no answer is printed: whoever asks tells */
    struct control_silent *silent;
    const char *words[4]; /* what is no option: group, verb, argument */
    size_t word_count;
};

/* An answer. */
struct control_answer {
    struct sp_json_doc *json;
    const struct sp_json *result; /* lent from json; NULL if it failed */
    int code;
    int fd; /* connection, at the file's first byte; -1 */
    uint64_t file_len;
    struct sp_buf rest; /* bytes of the file that came with the line */
};

/*
 * say.c: tells what could not be done, and why; detail is a format and its values.
 *
 * error:   a name for programs: one of sp_rc_name's, or "usage", "absent", "unknown", "input", "output"
 * returns: code
 */
int control_say(const struct control *c, int code, const char *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* main.c: the same of wrong arguments, and how the command is written. returns: CONTROL_USAGE */
int control_usage(const struct control *c, const char *why);

/* socket.c: the gateway's settings; what is wrong is printed. owner: the caller, sp_config_free */
int control_settings(const struct control *c, struct sp_config **out);
/* socket.c: asks; what failed is printed. question: JSON object */
void control_ask(const struct control *c, struct sp_bytes question, struct control_answer *out);

/* A connection for many questions, which are answered in their order. */
struct control_talk {
    int fd;             /* -1: there is none */
    bool stays;         /* it takes another question before this one is answered */
    struct sp_buf rest; /* what came behind the last answer */
};
/* socket.c */
void control_talk_init(struct control_talk *t);
void control_talk_clear(struct control_talk *t);
/* Sends a question, over a new connection if there is none. returns: an exit code; what failed is printed */
int control_talk_send(const struct control *c, struct control_talk *t, struct sp_bytes question);
/* Waits for the answer to the first question that is not answered; what failed is printed */
void control_talk_hear(const struct control *c, struct control_talk *t, struct control_answer *out);

/* socket.c: one line of canonical JSON */
void control_print_json(const struct sp_json *value);

/* A member of a question; one without a value is left out. */
struct control_member {
    const char *key;
    const char *value;
};

/* socket.c: asks a command with these members; what failed is printed, and the result if JSON is wanted. returns: the code */
int control_ask_about(const struct control *c, const char *command,
                      const struct control_member *members, size_t count,
                      struct control_answer *out);
void control_answer_clear(struct control_answer *a);
/* Copies the file behind an answer. returns: an exit code */
int control_save(const struct control *c, struct control_answer *a, int fd);

/* table.c: text that came from outside is shown without control characters */
struct table;
struct table *table_new(const char *const *heads, size_t count);
void table_add(struct table *t, const struct sp_bytes *cells);
/* Prints the rows since the last time, the head only once; columns never get narrower. */
void table_print(struct table *t);
void table_free(struct table *t);

/* queue.c, keys.c, audit.c, status.c: return exit codes */
int control_queue(const struct control *c);
/* queue.c: the question for a page of `queue list` by the filters of c. after: id of the last one's end, "" to begin */
void control_put_page(const struct control *c, const char *after, uint64_t limit,
                      struct sp_buf *question);
void control_ask_page(const struct control *c, const char *after, uint64_t limit,
                      struct control_answer *answer);
#define CONTROL_PAGE_MAX  16384 /* bytes of such a question */
#define CONTROL_AFTER_MAX 64
/* queue.c: notes a page's end, for the next one. after: CONTROL_AFTER_MAX bytes. returns: false if it was the last */
bool control_next_page(const struct sp_json *page, char *after);

/* silent.c: notes which relays did not answer, as a page has it. returns: whether there are some that were not noted before */
bool control_note_silent(const struct control *c, const struct sp_json *page);
/* silent.c: leaves them out of a question */
void control_put_without(const struct control *c, struct sp_jw *w);
/* silent.c: says which they are, and what that means. returns: CONTROL_UNKNOWN */
int control_say_silent(const struct control *c, const char *meaning);

/* filter.c: whether a filter is given */
bool control_is_filtered(const struct control *c);
/* filter.c: what would mean more than was meant, or can't be asked. returns: what is wrong; NULL: nothing */
const char *control_find_slip(const struct control *c);
/* filter.c: whether the filters mean this message's sender, and this recipient of those that wait */
bool control_is_from(const struct control *c, const struct sp_json *message);
bool control_is_meant(const struct control *c, const struct sp_json *r);
/* filter.c: the same of any recipient, and whether he waits no more */
bool control_fits(const struct control *c, const struct sp_json *r);
bool control_is_final(const struct sp_json *r);

/* orders.c: what the first relay said, of an answer of each; NULL: nothing */
const struct sp_json *control_first_relay(const struct control_answer *answer);
/* orders.c: whether every relay answered; those that did not are named. returns: an exit code */
int control_judge(const struct control *c, const struct control_answer *answer);
/* count.c */
int control_count(const struct control *c);
/* count.c: with --host, says how many wait for destinations of which no host is known now: the filter does not mean them */
void control_tell_unknown(const struct control *c);
/* many.c: a command about a message, for all that the filters mean */
int control_many(const struct control *c, const char *verb);
/* orders.c: the same; -1 if the verb is none of its */
int control_orders(const struct control *c);
/* pseudonym.c: the same; -1 if the verb is none of its */
int control_pseudonym(const struct control *c);
int control_keys(const struct control *c);
int control_audit(const struct control *c);
int control_posture(const struct control *c);
int control_policy(const struct control *c);
int control_preference(const struct control *c);
int control_suppression(const struct control *c);
int control_status(const struct control *c);
int control_probe(const struct control *c);
int control_tlsrpt(const struct control *c);
int control_sites(const struct control *c);
int control_trace(const struct control *c);
int control_upgrade(const struct control *c);

struct control_supervisor {
    uint64_t pid;
    uint64_t start;
    uint64_t tries;
    char state[32];
    char version[64];
};

/* supervisor.c. returns: the lock file of the state folder, to close; -1 after saying why */
int control_supervisor_open(const struct control *c);
/* returns: whether a supervisor holds the lock */
bool control_supervisor_runs(int fd);
/* returns: whether the file said who it is */
bool control_supervisor_read(int fd, struct control_supervisor *out);
/* Lets the running gateway read its configuration anew. returns: CONTROL_OK, CONTROL_ABSENT, CONTROL_REFUSED */
int control_reload(const struct control *c);

#endif
