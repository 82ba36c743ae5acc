/*
 * The portal: takes packages from the relay, and shows each to the one person that it is for. It has its own database
 * and package files, sends mailbox codes as mail of our own, and records every access before it grants it. The program
 * round it (gateway/portal) brings sockets, TLS and the channels to the other roles.
 *
 * Reading a package:  GET /p            a form; its script takes the token from the URL's fragment
 *                     POST /code        a code goes to the mailbox, a challenge cookie to the browser
 *                     POST /open        code against challenge; the audit record; a session cookie
 *                     GET  /m/ID        the message; /m/ID/html its HTML for a sandboxed frame
 *                     POST /m/ID/part/N, /m/ID/original, /m/ID/leave
 *                     GET and POST /m/ID/choice: how mail to come is to be protected
 * GET and HEAD change nothing; those of /m/ that show the message again are openings, counted and recorded, too.
 * thread: loop
 */
#ifndef SP_PORTAL_PORTAL_H
#define SP_PORTAL_PORTAL_H

#include "base/err.h"
#include "content/content.h"
#include "crypt/secret.h"
#include "io/loop.h"
#include "log/log.h"

struct sp_portal;
struct sp_tls_context;

enum sp_portal_mail_kind {
    SP_PORTAL_MAIL_CODE,   /* to the recipient, at once */
    SP_PORTAL_MAIL_NOTICE, /* to the recipient */
    SP_PORTAL_MAIL_WORD,   /* to the sender: goes by the floor of its own mail, not by this one's */
    SP_PORTAL_MAIL_REPORT, /* to the sender: a DSN, by the floor of the notice */
};

/* One mail of our own. All views are lent for the call. */
struct sp_portal_mail {
    enum sp_portal_mail_kind kind;
    struct sp_bytes tenant;
    struct sp_bytes to;
    struct sp_bytes floor;
    struct sp_bytes content; /* header and body, CRLF lines */
    struct sp_id cause;      /* the message that it is about */
    int64_t expires_at_ms;   /* wall clock */
    bool requires_tls;       /* REQUIRETLS of what it is about (RFC 8689) */
    struct sp_bytes once;    /* the same text again is the same mail; empty: it is not */
    bool again;              /* handed over before, and it is not known what became of that */
    /* on a later turn, once it is queued, with its id there (lent, set if rc is SP_OK); NULL: nobody asks */
    void (*done)(void *arg, enum sp_rc rc, const struct sp_id *id);
    void *arg;
};

/* What a recipient may choose for mail to come. */
enum sp_portal_choice {
    SP_PORTAL_CHOICE_NONE,
    SP_PORTAL_CHOICE_TLS,
    SP_PORTAL_CHOICE_SEALED,
    SP_PORTAL_CHOICE_PORTAL,
};
struct sp_portal_wish {
    enum sp_portal_choice choice;
    int64_t until_ms; /* wall clock */
};

/* What the portal asks of other roles; the program's are jobs, the tests' are fakes. */
struct sp_portal_ops {
    /* Records an audit event; done(arg, rc) follows exactly once, on a later turn, SP_OK when it is durable. batch: it
     * may wait for others. done may be NULL. */
    void (*act)(void *ctx, struct sp_bytes event, bool batch,
                void (*done)(void *arg, enum sp_rc rc), void *arg);
    /* Queues a mail; what fails is logged there. */
    void (*submit)(void *ctx, const struct sp_portal_mail *mail);
    /* What a recipient has chosen for a tenant's mail: done(arg, rc, wish) follows exactly once, on a later turn; wish is
     * lent for the call, and only there with SP_OK. */
    void (*find_wish)(void *ctx, struct sp_bytes tenant, struct sp_bytes address,
                      void (*done)(void *arg, enum sp_rc rc, const struct sp_portal_wish *wish),
                      void *arg);
    void *ctx;
};

struct sp_portal_options {
    struct sp_loop *loop;
    struct sp_log *log;             /* may be NULL */
    const struct sp_clock *clock;   /* kept */
    const struct sp_random *random; /* kept */
    const char *dir;                /* portal.db and packages/ are in it; made if absent */
    const char *url;                /* as recipients see it: "https://mail.example" */
    const char *hostname;           /* for Message-ID of our mail */
    const char *mail_from;          /* From of our mail: an address */
    const struct sp_secret *kek;    /* copied */
    struct sp_tls_context *tls;     /* borrowed; NULL for tests */
    struct sp_portal_ops ops;
    int64_t code_ms;    /* how long a code is good */
    int64_t session_ms; /* how long an open package may be read */
    int64_t
        max_codes; /* sent for one package to one client in an hour; four times as many in all and to a mailbox */
    int64_t max_tries; /* of a code */
    int64_t choice_ms; /* how long a recipient's choice holds; 0: none is offered */
};

/*
 * Opens database and packages, removes files that no row names, and begins to sweep for what has expired.
 *
 * owner:   the caller, until sp_portal_free
 * returns: SP_E_STORE_FAILED, SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_portal_new(const struct sp_portal_options *options,
                                       struct sp_portal **out, struct sp_err *err);
/* Cuts connections off; callbacks of ops must not come any more. NULL is allowed. */
void sp_portal_free(struct sp_portal *p);
SP_AUTO_DEFINE(sp_portal)

/* Serves HTTP on a listening socket; fd stays the caller's. */
void sp_portal_listen(struct sp_portal *p, int fd);
/* Serves one connected socket. owner: the portal, of fd */
void sp_portal_accept(struct sp_portal *p, int fd);
/* Takes no more connections; on_idle(arg) comes once when the last has ended, or after limit_ms. */
void sp_portal_drain(struct sp_portal *p, int64_t limit_ms, void (*on_idle)(void *arg), void *arg);

#define SP_PORTAL_REMIND_MAX 4
#define SP_PORTAL_ENVID_MAX  100 /* RFC 3461 4.4 */
#define SP_PORTAL_ORCPT_MAX  500 /* RFC 3461 4.2 */

/* What the sender hears of the end of a package (RFC 3461). */
struct sp_portal_report {
    unsigned wants; /* SP_JOBS_DEPOSIT_TELL_*; 0: nothing */
    struct sp_bytes envid;
    struct sp_bytes orcpt;
    int64_t arrived_ms; /* wall clock: when the message was accepted */
};

struct sp_portal_deposit {
    struct sp_content *content; /* lent; its id is the message's */
    uint32_t n;                 /* the recipient's index */
    struct sp_bytes tenant;
    struct sp_bytes sender;
    struct sp_bytes recipient;
    struct sp_bytes floor;                      /* of mailbox codes; empty: "tls:encrypted" */
    int64_t expires_at_ms;                      /* wall clock */
    int64_t remind_at_ms[SP_PORTAL_REMIND_MAX]; /* wall clock; 0: no more */
    struct sp_bytes notice;                     /* shown beside the message, UTF-8; may be empty */
    int64_t unread_at_ms; /* when the sender hears that nobody has opened it; 0: never */
    struct sp_bytes name; /* display name of the reminders' From; may be empty */
    struct sp_portal_report report;
};

#define SP_PORTAL_PACKAGE_MAX 32
#define SP_PORTAL_KEY_MAX     32
#define SP_PORTAL_LINK_MAX    512

struct sp_portal_receipt {
    char package[SP_PORTAL_PACKAGE_MAX];
    char key[SP_PORTAL_KEY_MAX];
    char link[SP_PORTAL_LINK_MAX]; /* secret: for the notice alone */
};

/*
 * Makes a package: the content under a key of its own, synced, then its row. The same message and recipient again give
 * the same package and link. Blocks on the disk.
 *
 * returns: SP_E_PORTAL_EXPIRED if its package has been destroyed; SP_E_STORE_FAILED, SP_E_IO; or what the content said
 */
SP_MUST_CHECK enum sp_rc sp_portal_deposit(struct sp_portal *p, const struct sp_portal_deposit *d,
                                           struct sp_portal_receipt *out, struct sp_err *err);

/*
 * The sender has been told that nobody can be told of this package: it hears no other report of its end.
 *
 * returns: SP_OK, also if nothing was owed; SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_portal_unreached(struct sp_portal *p, struct sp_bytes package);
/*
 * The notice came back, with this status: the sender hears it from here, if he wants to and nobody has opened the package.
 *
 * returns: as above; SP_E_MALFORMED if it is no status of failure
 */
SP_MUST_CHECK enum sp_rc sp_portal_bounced(struct sp_portal *p, struct sp_bytes package,
                                           struct sp_bytes status);

/* Destroys what has expired by now; runs by itself every minute. */
void sp_portal_sweep(struct sp_portal *p);

#endif
