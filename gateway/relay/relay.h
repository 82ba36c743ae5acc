/*
 * What the files of the relay's program share. main.c wires intake and queue; delivery.c the other half; left.c the
 * shards that another relay left behind, each a struct relay of its own without intake.
 */
#ifndef GATEWAY_RELAY_RELAY_H
#define GATEWAY_RELAY_RELAY_H

#include "config/config.h"
#include "delivery/delivery.h"
#include "intake/intake.h"
#include "jobs/jobs.h"
#include "json/json.h"
#include "policy/policy.h"
#include "queue/queue.h"
#include "role/role.h"
#include "tls/tls.h"

struct relay_delivery;
struct relay_door;
struct sp_transport;
struct relay_durable;
struct relay_submit;
struct relay_posture;
struct relay_contacts;
struct relay_suppress;
struct relay_wishes;
struct relay_waiting;
struct sp_suppress;
struct sp_posture;
struct sp_sts_cache;

struct relay {
    struct sp_role *role;
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_jobs *jobs;
    struct sp_config *config;
    struct sp_policy *policy;
    struct sp_journal_keys keys;
    struct sp_queue *queue;
    struct sp_intake *intake;
    struct relay_delivery *delivery;
    struct relay_durable *durable;
    struct relay_suppress *suppress; /* the same */
    struct relay_contacts *contacts; /* the same */
    struct relay_wishes *wishes;     /* the same */
    struct relay_waiting *waiting;   /* the same */
    struct relay_posture *posture;   /* NULL in a shard left behind: the first relay's counts */
    struct relay_submit *submit;
    struct relay_door
        *door; /* while the shard can't be opened: then there is neither queue nor intake */
    struct sp_timer *left_again; /* tries the shards left behind that could not be opened */
    struct sp_arena *ways;       /* for classifying what comes into the queue */
    char *postmaster;            /* of the first tenant; NULL: there is none */
    char *report_tenant;         /* who signs TLS reports; NULL: nobody can */
    char *report_domain;         /* its DKIM domain */
    struct sp_list probes;       /* under way */
    struct sp_list reports;      /* the same: TLS reports */
    struct sp_list tasks;        /* the same: questions of the command line */
    unsigned draining;           /* parts that have not ended yet */
    const char *dir;             /* of the shard */
    struct relay *first; /* of a shard left behind: the relay that looks after it; else NULL */
    struct relay *left;  /* the next shard left behind */
};

/* ---- settings.c: from the bundle ---- */

/* Reads the settings alone: what the queue must know before there is an intake. */
SP_MUST_CHECK enum sp_rc relay_settings_first(struct relay *r, struct sp_err *err);

/* Reads settings, policy, tenants and TLS keys, and gives them to intake. Nothing is changed if anything is wrong. */
SP_MUST_CHECK enum sp_rc relay_settings_load(struct relay *r, struct sp_err *err);
/* The same, and gives them to nobody: there is no intake yet. */
SP_MUST_CHECK enum sp_rc relay_settings_check(struct relay *r, struct sp_err *err);

/* ---- keys.c: the keys above those of the segments ---- */

/* Reads them from the bundle. returns: SP_E_CRYPT_KEY if they are not in it */
SP_MUST_CHECK enum sp_rc relay_keys_load(struct relay *r, struct sp_journal_keys *out,
                                         struct sp_err *err);
/* New ones may be there: the keyrings of r's shards are rewritten, if so. A failure is tried again by the next reload. */
SP_MUST_CHECK enum sp_rc relay_keys_renew(struct relay *r, struct sp_err *err);
/* What the audit says if opening the shard completes a rotation. out: not initialised before; owner: the caller */
void relay_keys_renewed(const struct relay *r, struct sp_buf *out);
void relay_keys_clear(struct sp_journal_keys *keys);
/* The key of return paths of our own: the same in all relays of a deployment. */
void relay_keys_return(const struct relay *r, struct sp_secret *out);

/* ---- acts.c: what the supervisor has done, for the audit ---- */

/* Hands the ledger the events that came with this generation, if this is the relay that speaks for all. */
void relay_acts_record(struct relay *r);

/* ---- delivery.c: outbound ---- */

/*
 * Makes a resolver as the settings say.
 *
 * owner:   the caller
 * first:   the address of the first server as text, to sp_free; may be NULL
 * returns: SP_OK or SP_E_CONFIG_INVALID
 */
SP_MUST_CHECK enum sp_rc relay_resolver_new(struct relay *r, const struct sp_config *config,
                                            struct sp_dns_resolver **out, char **first,
                                            struct sp_err *err);

/* Starts delivery on r's queue and settings. */
SP_MUST_CHECK enum sp_rc relay_delivery_start(struct relay *r, struct sp_err *err);
/* New settings are there. */
SP_MUST_CHECK enum sp_rc relay_delivery_reload(struct relay *r, struct sp_err *err);
/* As sp_delivery_ask_now; nothing before delivery has begun. */
void relay_delivery_ask_now(struct relay *r, const struct sp_id *id, size_t recipients);
/* Something may be due: queue's on_due. */
void relay_delivery_poke(struct relay *r);
/* Takes nothing new; fn(r) once what is under way is recorded. */
void relay_delivery_drain(struct relay *r, int64_t patience_ms, void (*fn)(void *arg));
void relay_delivery_free(struct relay *r);
/* Looks at some of the sites of r's own shard, as sp_delivery_board_step. returns: the same */
bool relay_delivery_step_board(struct relay *r, struct sp_delivery_board *b);
/* Writes what metrics tell of them, as sp_delivery_put_pool. */
void relay_delivery_put_pool(struct relay *r, struct sp_jw *w);
/* returns: what is remembered of a domain: an enum sp_floor, or SP_REMEMBERED_NEVER_SEEN */
int relay_delivery_remembered(struct relay *r, struct sp_bytes domain);

/* returns: the transport of the half that runs now */
struct sp_transport *relay_delivery_transport(struct relay *r);

/* returns: its resolver, lent until the next reload */
const struct sp_dns_ops *relay_delivery_dns(struct relay *r);

/* returns: its TLS client context, lent */
struct sp_tls_context *relay_delivery_tls(struct relay *r);

/* ---- contacts.c: whom tenants write to, from the ledger ---- */
struct relay_contacts *relay_contacts_new(struct relay *r);
void relay_contacts_free(struct relay_contacts *m);
/* The ledger may be another than before: its list is asked for again. NULL is allowed */
void relay_contacts_again(struct relay_contacts *m);
/* returns: 1 if the tenant has never written to that address, 0 if it has, -1 if that is not known */
int relay_contacts_is_new(const struct relay *r, struct sp_bytes tenant, struct sp_bytes address);

/* ---- waiting.c: word to those who decide about mail on hold ---- */
struct relay_waiting *relay_waiting_new(struct relay *r);
void relay_waiting_free(struct relay_waiting *w);
/* The settings may be new. What waits for a group that nobody was told of before is told. */
void relay_waiting_configure(struct relay_waiting *w);
/* A message is held for a group since now. */
void relay_waiting_news(struct relay *r, const struct sp_id *id, struct sp_bytes group);
/* There may be messages on hold that nobody spoke of, in a shard that is open since now: they are looked for. */
void relay_waiting_look(struct relay_waiting *w);

/* ---- wishes.c: what recipients have chosen in the portal, from the ledger ---- */
struct relay_wishes *relay_wishes_new(struct relay *r);
void relay_wishes_free(struct relay_wishes *m);
/* The ledger may be another than before: its list is asked for again. NULL is allowed */
void relay_wishes_again(struct relay_wishes *m);
/* fn(relay) once the list is here, or the ledger is late: then senders are told to come later. May be at once. */
void relay_wishes_then(struct relay_wishes *m, void (*fn)(struct relay *r));
/* returns: 1 and *out, 0 if nothing was chosen, -1 if that is not known yet */
int relay_wishes_find(const struct relay *r, struct sp_bytes tenant, struct sp_bytes address,
                      struct sp_fact_wish *out);

/* ---- suppress.c: addresses that are not tried, from the ledger ---- */
struct relay_suppress *relay_suppress_new(struct relay *r);
void relay_suppress_free(struct relay_suppress *m);
/* A ledger has come. NULL is allowed. */
void relay_suppress_again(struct relay_suppress *m);
/* returns: the memory, lent as long as the relay */
struct sp_suppress *relay_suppress_list(const struct relay *r);
/* returns: until when an address is left alone of which a report says this; 0: it is not. arg: the relay */
int64_t relay_suppress_until(void *arg, int code, struct sp_status status);
/* It is on record. arg: the relay */
void relay_suppress_add(void *arg, struct sp_bytes address, int64_t until_ms);
/* returns: whether the ledger's list is here: nothing is delivered before */
bool relay_suppress_is_known(const struct relay *r);

/* ---- posture.c: what domains have proved, from the ledger ---- */

/* Makes the memory of r and of the shards that it looks after, and asks the ledger for all that is known. */
struct relay_posture *relay_posture_new(struct relay *r);
void relay_posture_free(struct relay_posture *m);
/* A ledger has come: what changed while there was none is asked for. NULL is allowed. */
void relay_posture_again(struct relay_posture *m);
/* returns: whether the ledger's list is here: nothing is delivered before */
bool relay_posture_is_known(const struct relay *r);
/* returns: the memory's parts, lent as long as the relay */
struct sp_posture *relay_posture_levels(const struct relay *r);
struct sp_sts_cache *relay_posture_policies(const struct relay *r); /* returns: see above */

/* ---- durable.c: tells the ledger how far this shard's journal is on disk ---- */

struct relay_durable *relay_durable_new(struct relay *r);
void relay_durable_free(struct relay_durable *d);
/* This segment is durable up to end. */
void relay_durable_tell(struct relay_durable *d, uint64_t segment, uint64_t end);

/* A ledger that has just started knows nothing of what the one before it was told. */
void relay_durable_again(struct relay_durable *d);

/* ---- door.c: while the shard can't be opened ---- */

#define RELAY_CLOSED_WORDS "421 4.3.0 mail can't be taken now, try again later\r\n"

/*
 * Turns away who comes and tries to open the shard until it opens; then on_opened, once, and the door is gone.
 *
 * why:     what the first try said
 * owner:   the caller
 * returns: never NULL
 */
struct relay_door *relay_door_new(struct relay *r, const struct sp_err *why,
                                  void (*on_opened)(struct relay *r));
/* NULL is allowed. */
void relay_door_free(struct relay_door *d);

/* ---- left.c: shards that no relay of their own serves ---- */

/* Opens the queue of r's shard. */
SP_MUST_CHECK enum sp_rc relay_queue_open(struct relay *r, struct sp_err *err);
/* Opens all folders of the role but the first, and delivers what lies in them. One that can't be opened is tried later. */
void relay_left_open(struct relay *r);
/* New settings are there. */
SP_MUST_CHECK enum sp_rc relay_left_reload(struct relay *r, struct sp_err *err);
/* Ends their deliveries; fn(arg) for each, once it is done. returns: how many there are */
unsigned relay_left_drain(struct relay *r, int64_t patience_ms, void (*fn)(void *arg));
void relay_left_free(struct relay *r);

/* ---- submit.c: mail of our own from portal and ledger ---- */

struct relay_submit *relay_submit_new(struct relay *r);
void relay_submit_free(struct relay_submit *s);

/* ---- report.c: TLS reports on their way, for the ledger ---- */

void relay_report_serve(struct relay *r);
/* Ends all that are under way with an error. */
void relay_report_cancel(struct relay *r);

/* ---- command.c: the command line's questions about the queue ---- */

void relay_command_serve(struct relay *r);
/* Ends all that are under way, without an answer: before the jobs are freed, and the queues closed. */
void relay_command_cancel(struct relay *r);
/* Answers a command. json: the result, or one that says what is wrong */
void relay_reply_json(struct sp_jobs_job *job, enum sp_rc rc, const struct sp_buf *json);
void relay_reply_error(struct sp_jobs_job *job, enum sp_rc rc, const char *detail);

/* ---- probe.c: a domain as a delivery would see it ---- */

/* Answers the job once the domain has been looked at. ask: the command, for the call */
void relay_probe_start(struct relay *r, struct sp_jobs_job *job, const struct sp_json *ask);
/* Ends all that are under way with an error. */
void relay_probe_cancel(struct relay *r);

#endif
