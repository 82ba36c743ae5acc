/*
 * Inside delivery: the audit events of an attempt. thread: loop
 */
#ifndef SP_DELIVERY_REPORT_PRIV_H
#define SP_DELIVERY_REPORT_PRIV_H

#include "delivery/delivery_priv.h"

struct sp_report {
    size_t taken; /* index of the rung taken; the ladder's count: none was */
    size_t waits; /* none was taken: index of the one that is waited for, or the ladder's count */
    const char *outcome; /* "delivered", "deferred", "failed", "next-rung", ... */
    const uint16_t *ns;
    size_t n_count;
    enum sp_rc why;                    /* SP_OK: none */
    const struct sp_smtp_reply *reply; /* or NULL */
    int64_t next_at_ms;                /* 0: none */
    bool sent;                         /* bytes went out: say which */
};
/* Adds delivery.attempted. */
void sp_report_attempt(struct sp_attempt *a, const struct sp_report *r);
/* Adds transport.posture-dropped, once an attempt. */
void sp_report_dropped(struct sp_attempt *a);
/* Leaves a recipient's address alone from now on, if the settings say so, and adds list.changed. */
void sp_report_suppressed(struct sp_attempt *a, uint16_t n, const struct sp_smtp_reply *reply);
/* Begins an event about ns; the caller ends the object with sp_report_end. returns: false if there is no room */
SP_MUST_CHECK bool sp_report_begin(struct sp_attempt *a, struct sp_jw *w, const char *event,
                                   const uint16_t *ns, size_t n_count);
void sp_report_end(struct sp_attempt *a, struct sp_jw *w);

/* Writes evidence that is new and sets what the next event cites. evidence.c */
void sp_report_evidence(struct sp_attempt *a);
/* The record with this evidence is durable: it need not be written again. evidence.c */
void sp_report_evidence_durable(struct sp_delivery *d, const uint8_t (*sums)[SP_SHA256_LEN],
                                size_t count);
/* Gives a child its message.accepted. */
void sp_report_child(struct sp_attempt *a, struct sp_child *child);

#endif
