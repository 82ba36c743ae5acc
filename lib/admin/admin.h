/*
 * The control socket of the command line. A connection is one question: a line of JSON in, a line of JSON out, with the
 * bytes of a file behind it if the answer has one. Who may ask is told by the kernel (peer credentials): root, and the
 * user as whom the gateway runs. The question goes to the roles that own the matter, their answers are made one; a role
 * that does not answer in time gives "unknown, repeat", which is always safe: commands may be repeated.
 *
 *     {"command": "queue.hold", "message": ID, "reason": TEXT}
 *     {"ok": true, "result": {...}, "file_len": 0}
 *     {"ok": false, "error": "not-found", "detail": TEXT}
 *     {"ok": false, "error": "unknown", "detail": TEXT}            repeat it
 *
 * Relays that hang are waited for a few seconds, all at once; of a command about a message nobody is waited for once the relay that
 * has it has spoken. "silent" in a list names those that did not answer, and marks them in an answer of each;
 * a question "without": [0] leaves relays out. With "soon": true no role is waited for longer than for a relay that hangs.
 *
 * With "keep": true in a question of the queue the connection stays, and the answer says so by the same member. More
 * questions may be sent before the first is answered; they are answered in their order. So one who changes many messages
 * takes one session, however many acts are under way in it; a session more than there may be waits until one ends.
 * Who closes its side of such a connection, or half of it, hears no more; what is under way is done all the same.
 *
 * "gateway.state" is answered here: what the supervisor shows of itself and the roles, if it shows anything.
 *
 * thread: loop
 */
#ifndef SP_ADMIN_ADMIN_H
#define SP_ADMIN_ADMIN_H

#include "io/loop.h"
#include "jobs/jobs.h"
#include "log/log.h"

#define SP_ADMIN_LINE_MAX     ((size_t)8 << 20) /* bytes of a question */
#define SP_ADMIN_SESSIONS_MAX 64
#define SP_ADMIN_GUESTS_MAX   32 /* of those: of users who may not ask everything */
#define SP_ADMIN_IN_HAND_MAX                                                                       \
    16 /* questions of a session that are not answered, or whose answers it has not taken; it is read no further */
#define SP_ADMIN_ANSWER_MS   15000
#define SP_ADMIN_PATIENCE_MS 4000

struct sp_admin;
struct sp_json_doc;

struct sp_admin_parts {
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_jobs *jobs;
    uint32_t owner_uid; /* who may ask beside root */
    /* Whether a user who is neither may ask this command all the same; NULL: nobody. command: as it was asked */
    bool (*may_ask)(void *arg, uint32_t uid, struct sp_bytes command);
    /* Writes into such a user's question what it is limited to, over whatever it says; NULL: to nothing */
    void (*limit)(void *arg, uint32_t uid, struct sp_json_doc *question);
    void *arg;
    int64_t answer_ms;   /* how long a role may take; 0: SP_ADMIN_ANSWER_MS */
    int64_t patience_ms; /* how long a relay's loop may be silent; 0: SP_ADMIN_PATIENCE_MS */
    int state_fd;        /* the supervisor's page, lent; 0: there is none */
};

/* Watches the peers of jobs. owner: the caller, until sp_admin_free, which comes after the jobs are freed. parts: copied, what they point to is lent */
struct sp_admin *sp_admin_new(const struct sp_admin_parts *parts);
void sp_admin_free(struct sp_admin *a);
SP_AUTO_DEFINE(sp_admin)

/* Answers on a listening Unix socket, which stays the caller's. */
void sp_admin_listen(struct sp_admin *a, int fd);

/* Takes no more sessions, and of those that there are none but a first question. Those under way go on until sp_admin_free. */
void sp_admin_stop(struct sp_admin *a);

/* returns: questions that are not answered yet */
size_t sp_admin_busy(const struct sp_admin *a);

#endif
