/*
 * admin's own: a question on its way through the roles.
 */
#ifndef SP_ADMIN_ADMIN_PRIV_H
#define SP_ADMIN_ADMIN_PRIV_H

#include "admin/admin.h"
#include "base/map.h"
#include "json/json.h"

#define SP_ADMIN_ANSWERS_MAX 256 /* relays */

/* What one role made of it. */
struct sp_admin_answer {
    unsigned index; /* of the peer */
    enum sp_rc rc;
    struct sp_json_doc *json; /* NULL if there is none */
    int fd;                   /* -1: no file */
};

struct sp_admin_call {
    struct sp_admin_question *question;
    size_t slot;
    sp_handle job;  /* 0: answered, or given up */
    sp_handle ping; /* 0: none is under way */
};

struct sp_admin_question {
    struct sp_admin *admin;
    struct sp_json_doc *json;
    const struct sp_admin_route *route;
    size_t open; /* answers that have not come */
    size_t count;
    struct sp_admin_answer answers[SP_ADMIN_ANSWERS_MAX];
    struct sp_admin_call calls[SP_ADMIN_ANSWERS_MAX];
    struct sp_timer *look; /* for whom is waited; NULL: for as long as a role may take */
    void (*done)(void *arg, struct sp_admin_question *q);
    void *arg;
};

/* How the answers of several relays become one. */
enum sp_admin_merge {
    SP_ADMIN_ONE,   /* one role was asked */
    SP_ADMIN_OWNER, /* the one that has the message answers, the others don't know it */
    SP_ADMIN_PAGES, /* sorted lists of messages, a page of each */
    SP_ADMIN_EACH,  /* a list of what each says */
};

struct sp_admin_route {
    const char *prefix; /* "queue.list", or "keys." for all that begin so */
    enum sp_role_kind role;
    enum sp_admin_merge merge;
};

/*
 * Sends a question to the roles that it concerns; q->done follows, on a later turn.
 *
 * json:    taken
 * actor:   JSON object for the audit
 * returns: NULL if there is no such command (json is freed then)
 * owner:   the caller, of the question, until sp_admin_question_free
 */
struct sp_admin_question *sp_admin_ask(struct sp_admin *a, struct sp_json_doc *json,
                                       struct sp_bytes actor,
                                       void (*done)(void *arg, struct sp_admin_question *q),
                                       void *arg);
void sp_admin_question_free(struct sp_admin_question *q);

/*
 * Makes one answer of all.
 *
 * out: one JSON line without its end is appended
 * fd:  a file that goes behind it, or -1. owner: the caller
 */
void sp_admin_merge(struct sp_admin_question *q, struct sp_buf *out, int *fd);

/* route.c: an answer that will not come any more. rc: why */
void sp_admin_answered(struct sp_admin_call *call, enum sp_rc rc);

/* returns: whether an answer leaves open what has happened */
bool sp_admin_is_unknown(const struct sp_admin_answer *a);

/* wait.c: looks after the relays that were asked. After all have been */
void sp_admin_wait_start(struct sp_admin_question *q);
/* wait.c: nobody is waited for any more: calls without an answer are called off. Before the jobs are freed */
void sp_admin_wait_end(struct sp_admin_question *q);

/* Appends an error as an answer. */
void sp_admin_put_error(struct sp_buf *out, const char *error, struct sp_bytes detail);

/* Appends a result, and says that a file of so many bytes follows. */
void sp_admin_put_result(const struct sp_json *result, uint64_t file_len, struct sp_buf *out);

/* What the supervisor shows. returns: NULL if it shows nothing. owner: the caller */
struct sp_json_doc *sp_admin_state_read(const struct sp_admin *a);
/* returns: its page; 0 or less: there is none */
int sp_admin_state_fd(const struct sp_admin *a);

/*
 * Appends the page of metrics.
 *
 * state:     as sp_admin_state_read has it, or NULL
 * questions: answered; the first to relays (queue.stats), the second to the ledger (audit.status)
 */
void sp_admin_figures_put(struct sp_admin_question *const *questions, size_t count,
                          const struct sp_json *state, struct sp_buf *out);

/* returns: the jobs to send by, lent */
struct sp_jobs *sp_admin_jobs(const struct sp_admin *a);

/* returns: how many relays there are or have been: one that is not there now may have the message all the same */
unsigned sp_admin_relays(const struct sp_admin *a);

/* returns: how long a role may take */
int64_t sp_admin_answer_ms(const struct sp_admin *a);
/* returns: how long a relay may be silent */
int64_t sp_admin_patience_ms(const struct sp_admin *a);

/* returns: the loop, lent */
struct sp_loop *sp_admin_loop(const struct sp_admin *a);

#endif
