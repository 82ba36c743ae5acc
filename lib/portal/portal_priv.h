/*
 * Inside the portal: rows, login, sessions, limits, pages. login.c and limit.c know no HTTP, the handlers know no SQL.
 */
#ifndef SP_PORTAL_PORTAL_PRIV_H
#define SP_PORTAL_PORTAL_PRIV_H

#include "base/buf.h"
#include "base/id.h"
#include "base/map.h"
#include "crypt/aead.h"
#include "crypt/hash.h"
#include "crypt/wrap.h"
#include "portal/portal.h"
#include "store/store.h"
#include "web/web.h"

#define PORTAL_HASH_LEN    SP_SHA256_LEN
#define PORTAL_SECRET_TEXT 44 /* 32 bytes in base64url, NUL */
#define PORTAL_ADDR_MAX    512
#define PORTAL_CODE_DIGITS 8
#define PORTAL_SWEEP_MS    60000

struct sp_portal_hash {
    uint8_t b[PORTAL_HASH_LEN];
};

struct sp_portal {
    struct sp_portal_options o;
    char *packages_dir;
    struct sp_store *store;
    struct sp_web_server *web;
    struct sp_timer *sweep_timer;
    struct sp_aead *kek;           /* wraps package keys */
    struct sp_secret token_secret; /* tokens are made of it */
    struct sp_secret hash_secret;  /* what is stored of tokens, codes, cookies */
    struct sp_list waits;          /* struct portal_wait: answers that wait for an audit record */
    struct portal_package *reporting; /* whose destruction is being recorded; NULL: none */
    bool reporting_unread;            /* its "unread" record is under way, the other comes next */
    struct portal_due *due;           /* whose mail is under way; NULL: none */
    struct sp_timer *due_timer;
    int64_t ahead_ms;         /* how far the wall clock may be ahead of the steady one */
    int64_t doubted_ms;       /* how far it is, which is not believed yet */
    int64_t doubted_since_ms; /* by the monotonic clock; 0: no doubt */
};

/* A package's row, copied. */
struct portal_package {
    char id[SP_PORTAL_PACKAGE_MAX];
    struct sp_id message;
    uint32_t n;
    char tenant[128];
    char sender[PORTAL_ADDR_MAX];
    char recipient[PORTAL_ADDR_MAX];
    char floor[32];
    uint8_t wrapped[SP_WRAPPED_LEN];
    bool has_key; /* false: destroyed */
    int64_t len;
    int64_t created_ms;
    int64_t expires_ms;
    int64_t opens;
};

/* ---- secret.c: tokens and what is stored of secrets ---- */
/* One-way, keyed; what: which kind of secret. */
void sp_portal_hash(const struct sp_portal *p, const char *what, struct sp_bytes secret,
                    struct sp_portal_hash *out);
/* The package's token as text: the same for the same package. out: PORTAL_SECRET_TEXT bytes */
void sp_portal_token_of(const struct sp_portal *p, const struct portal_package *pkg, char *out);
/* 256 random bits as text. out: PORTAL_SECRET_TEXT bytes */
void sp_portal_secret_new(const struct sp_portal *p, char *out);
/* Reads a token as people paste it: the whole link, "#...", or the token, spaces around. returns: false if it is none */
bool sp_portal_token_parse(struct sp_bytes text, char *out);

/* ---- rows.c ---- */
enum sp_rc sp_portal_store_open(const char *path, struct sp_store **out, struct sp_err *err);
/* Each finds a package. returns: SP_E_NOT_FOUND, SP_E_STORE_FAILED */
enum sp_rc sp_portal_find_message(struct sp_portal *p, const struct sp_id *message,
                                  struct sp_bytes recipient, struct portal_package *out);
enum sp_rc sp_portal_find_token(struct sp_portal *p, struct sp_bytes token,
                                struct portal_package *out);
enum sp_rc sp_portal_find_id(struct sp_portal *p, struct sp_bytes id, struct portal_package *out);
enum sp_rc sp_portal_insert(struct sp_portal *p, const struct portal_package *pkg,
                            struct sp_err *err);
/* Counts an opening; what the sender hears of it becomes due. */
enum sp_rc sp_portal_count_open(struct sp_portal *p, const struct portal_package *pkg);
/* Forgets key, sessions and challenges of a package. What is left of them in the write-ahead log goes with the next
 * sp_store_checkpoint. */
enum sp_rc sp_portal_forget(struct sp_portal *p, const char *id);
/* The next package to destroy (live and expired), or to report (destroyed, not yet recorded). SP_E_NOT_FOUND: none */
enum sp_rc sp_portal_next_expired(struct sp_portal *p, struct portal_package *out);
enum sp_rc sp_portal_next_unreported(struct sp_portal *p, struct portal_package *out);
enum sp_rc sp_portal_set_reported(struct sp_portal *p, const char *id);
bool sp_portal_is_known(struct sp_portal *p, struct sp_bytes id);
/* returns: whether it may be read now */
bool sp_portal_is_live(struct sp_portal *p, const struct portal_package *pkg);

/* ---- sweep.c ---- */
/*
 * What the time is for sure: what goes by it can't be undone. A wall clock that has been set ahead is believed when it has
 * stood so for a day.
 *
 * returns: wall clock, or less
 */
int64_t sp_portal_sure_ms(struct sp_portal *p);

enum portal_due_kind {                      /* as rows have it */
                       PORTAL_DUE_REMINDER, /* to the recipient */
                       PORTAL_DUE_WORD,     /* to the sender, that nobody has opened it */
                       PORTAL_DUE_REPORT,   /* to the sender, how it ended: report.c */
};
/* Something that becomes due of a package. */
struct portal_due {
    struct portal_package package;
    int64_t at_ms;   /* what it was made for: its name */
    int64_t next_ms; /* when it is tried */
    enum portal_due_kind kind;
    bool asked;      /* a relay was asked to queue it before: it may have it */
    const char *why; /* of a report: what became of it, NULL if it was opened; static */
    char name[PORTAL_ADDR_MAX];
};
/* What the law wants to be read beside a message that takes no text. returns: SP_OK or the failure of the database */
enum sp_rc sp_portal_notice_set(struct sp_portal *p, const char *id, struct sp_bytes notice,
                                struct sp_err *err);
/* Appends it. returns: SP_OK, SP_E_NOT_FOUND, or the failure of the database */
enum sp_rc sp_portal_notice(struct sp_portal *p, const char *id, struct sp_buf *out);

/* Notes what becomes due of a new package. */
enum sp_rc sp_portal_due_insert(struct sp_portal *p, const char *id,
                                const struct sp_portal_deposit *d, struct sp_err *err);
/* The first that becomes due. SP_E_NOT_FOUND: none */
enum sp_rc sp_portal_next_due(struct sp_portal *p, struct portal_due *out);
enum sp_rc sp_portal_due_done(struct sp_portal *p, const struct portal_due *due);
/* A relay is about to be asked to queue it: from here on nobody but that relay knows whether it has. */
enum sp_rc sp_portal_due_asked(struct sp_portal *p, const struct portal_due *due);
/* Others go first: it is tried again at next_ms. */
enum sp_rc sp_portal_due_later(struct sp_portal *p, const struct portal_due *due, int64_t next_ms);

/* ---- remind.c ---- */
/* Does what is due, one after the other, and waits for the next. */
void sp_portal_remind(void *portal);

/* ---- vault.c: package files ---- */
/* Makes their folder, durably. */
enum sp_rc sp_portal_vault_make(struct sp_portal *p, struct sp_err *err);
enum sp_rc sp_portal_vault_write(struct sp_portal *p, const char *id, struct sp_content *from,
                                 struct sp_content_writer *w, struct sp_err *err);
/* owner: the caller, of out, to sp_content_clear */
enum sp_rc sp_portal_vault_open(struct sp_portal *p, const struct portal_package *pkg,
                                struct sp_content *out);
void sp_portal_vault_remove(struct sp_portal *p, const char *id);
/* Removes files that no row names: left over from a crash between file and row. */
void sp_portal_vault_tidy(struct sp_portal *p);
struct sp_bytes sp_portal_key_context(const char *id);
void sp_portal_key_name(const char *id, char *out);

/* ---- limit.c ---- */
/* Takes one of max in the window, counted in the database. returns: false if there is none left, or it can't be told */
bool sp_portal_limit_take(struct sp_portal *p, const char *what, struct sp_bytes subject,
                          int64_t window_ms, int64_t max);
void sp_portal_limit_tidy(struct sp_portal *p);

/* ---- login.c ---- */
/*
 * Begins a challenge: a code for whoever has this token and this browser. Everything about an unknown token, a dead
 * package or one asked for too often looks the same from outside, but that a known, expired one says so.
 *
 * client:    one text a client address
 * challenge: PORTAL_SECRET_TEXT bytes: goes into the browser's cookie
 * returns:   SP_OK whatever happened inside; SP_E_PORTAL_EXPIRED; SP_E_STORE_FAILED
 */
enum sp_rc sp_portal_challenge_new(struct sp_portal *p, struct sp_bytes token,
                                   struct sp_bytes client, char *challenge);
/*
 * Compares a code with a challenge; costs a try.
 *
 * out:     the package, whenever the challenge is known to belong to one, also with SP_E_PORTAL_CODE
 *          and SP_E_PORTAL_THROTTLED; else its id is ""
 * returns: SP_OK, SP_E_PORTAL_CODE, SP_E_PORTAL_THROTTLED, SP_E_PORTAL_EXPIRED, SP_E_STORE_FAILED
 */
enum sp_rc sp_portal_challenge_try(struct sp_portal *p, struct sp_bytes challenge,
                                   struct sp_bytes code, struct sp_bytes client,
                                   struct portal_package *out);
/*
 * The code has done its work: whoever gets SP_OK is the only one who ever does, and may have a session for it.
 *
 * returns: SP_OK, SP_E_PORTAL_CODE if somebody else has used it meanwhile, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_portal_challenge_end(struct sp_portal *p, struct sp_bytes challenge);
/* secret: PORTAL_SECRET_TEXT bytes: goes into the browser's cookie */
enum sp_rc sp_portal_session_new(struct sp_portal *p, const struct portal_package *pkg,
                                 char *secret);
/*
 * Who may see this package? Whoever holds a session for it.
 *
 * returns: SP_OK and the package; SP_E_DENIED; SP_E_PORTAL_EXPIRED to the holder of a session whose package has expired
 */
enum sp_rc sp_portal_session_find(struct sp_portal *p, struct sp_bytes secret, struct sp_bytes id,
                                  struct portal_package *out);
/* What of a message a session can show again and again. */
enum portal_view { PORTAL_VIEW_PAGE = 1, PORTAL_VIEW_HTML = 2 };
/*
 * Notes that a session shows this.
 *
 * first:   whether it never has before: the record of the opening covers it
 * returns: SP_OK, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_portal_session_show(struct sp_portal *p, struct sp_bytes secret,
                                                enum portal_view view, bool *first);
/* returns: SP_OK, SP_E_STORE_FAILED (then the session goes on) */
SP_MUST_CHECK enum sp_rc sp_portal_session_end(struct sp_portal *p, struct sp_bytes secret);
void sp_portal_login_tidy(struct sp_portal *p);

/* ---- record.c: audit ---- */
enum portal_agent { PORTAL_AGENT_PERSON, PORTAL_AGENT_SCANNER, PORTAL_AGENT_UNKNOWN };
struct portal_access {
    const char *event; /* "portal.opened" */
    const struct portal_package *package;
    struct sp_bytes client; /* address */
    enum portal_agent agent;
    int64_t part; /* downloaded: its index; -1: the whole */
    const char *why;
};
/* Writes the event's JSON. */
void sp_portal_record_access(struct sp_buf *out, const struct portal_access *a);
void sp_portal_record_destroyed(struct sp_buf *out, const struct portal_package *pkg);
void sp_portal_record_reminded(struct sp_buf *out, const struct portal_package *pkg, bool sender);
void sp_portal_record_unread(struct sp_buf *out, const struct portal_package *pkg);

/* An answer that waits for its audit record. */
struct portal_wait {
    struct sp_list in_portal;
    struct sp_portal *portal;
    sp_handle request;
    void (*go)(struct portal_wait *w, struct sp_web_request *req);
    struct portal_package package;
    int64_t part;
    bool again; /* shown to this log-in before: counted as another opening */
    char secret[PORTAL_SECRET_TEXT];
};
/*
 * Records an access, then goes on with w->go; without a record there is no access (503).
 *
 * owner: w is taken
 */
void sp_portal_after_record(struct portal_wait *w, const struct portal_access *a);
/* The same with an event that is written already. */
void sp_portal_after_event(struct portal_wait *w, struct sp_bytes event);
/* returns: a wait for this request, to be taken by sp_portal_after_record or freed by sp_portal_wait_free */
struct portal_wait *sp_portal_wait_new(struct sp_portal *p, const struct sp_web_request *req,
                                       const struct portal_package *pkg,
                                       void (*go)(struct portal_wait *w,
                                                  struct sp_web_request *req));
void sp_portal_wait_free(struct portal_wait *w);

/* ---- mail.c ---- */
/* Sends a code. */
void sp_portal_mail_code(struct sp_portal *p, const struct portal_package *pkg, const char *code);

/* ---- page.c ---- */
#define PORTAL_PAGE_MAX (4 * 1024 * 1024)
/* Begins and ends a page; what lies between is the caller's. */
void sp_portal_page_begin(struct sp_buf *out, const char *title);
void sp_portal_page_end(struct sp_buf *out);
/* A whole page with a heading and one paragraph. */
void sp_portal_page_note(struct sp_buf *out, const char *title, const char *text);
void sp_portal_page_error(void *arg, int status, struct sp_buf *out);
/* Answers with a page; the buffer is cleared. */
void sp_portal_page_send(struct sp_web_request *req, int status, struct sp_buf *page);
extern const char sp_portal_style[];
extern const char sp_portal_script[];
/* Fields of every answer. */
extern const char sp_portal_headers[];

/* ---- enter.c, read.c, choice.c: handlers ---- */
extern const struct sp_web_route sp_portal_routes[];
extern const size_t sp_portal_route_count;
void sp_portal_on_message(void *arg, struct sp_web_request *req);
void sp_portal_on_html(void *arg, struct sp_web_request *req);
void sp_portal_on_part(void *arg, struct sp_web_request *req);
void sp_portal_on_original(void *arg, struct sp_web_request *req);
void sp_portal_on_leave(void *arg, struct sp_web_request *req);
void sp_portal_on_choice(void *arg, struct sp_web_request *req);
void sp_portal_on_choose(void *arg, struct sp_web_request *req);
/* At the head of every handler of a package. returns: false, and the answer is given */
bool sp_portal_may_read(struct sp_portal *p, struct sp_web_request *req,
                        struct portal_package *pkg);
/* The client's address as text, lent from out. out: SP_ADDR_TEXT_MAX bytes */
struct sp_bytes sp_portal_client(const struct sp_web_request *req, char *out);
/* returns: whether the request comes from a page of another site (then it is answered with 403) */
bool sp_portal_is_foreign(struct sp_web_request *req);
/* Writes a cookie that only this site's own pages send back. max_age_ms 0 ends it. */
void sp_portal_set_cookie(struct sp_web_request *req, const char *name, const char *value,
                          const char *path, int64_t max_age_ms);

#endif
