/*
 * Asking the scanner. A scanner that dies or overruns is tried once more, all within intake.scan_ms; after that the fact
 * is `scan: failed`, which counts as most sensitive, and the policy decides. The message waits in sealed form; the
 * scanner gets its handle and key for this one job.
 */
#include "intake/intake_priv.h"

#define DEPTH_MAX    30
#define PARTS_MAX    250
#define UNPACKED_MAX ((uint64_t)1024 * 1024 * 1024)
#define SCAN_TRIES   2

static void ask(struct transaction *tx);

static void give_up(struct transaction *tx, enum sp_rc why)
{
    tx->scan_why = why;
    tx->in->stats.scans_failed++;
    sp_log_warn(tx->in->parts.log, "intake.scan-failed", SP_ID("message", &tx->id),
                SP_RC("why", why));
    sp_intake_decide(tx);
}

static enum sp_rc take_reply(struct transaction *tx, const struct sp_jobs_reply *reply)
{
    enum sp_rc rc;

    sp_buf_reset(&tx->scan_reply_bytes);
    sp_buf_put(&tx->scan_reply_bytes, reply->payload);
    rc = sp_buf_rc(&tx->scan_reply_bytes);
    if (rc != SP_OK)
        return rc;
    return sp_jobs_scan_reply_decode(sp_buf_bytes(&tx->scan_reply_bytes), tx->arena, &tx->scan);
}

static void on_reply(void *arg, enum sp_rc rc, const struct sp_jobs_reply *reply)
{
    struct transaction *tx = arg;
    int64_t now = sp_clock_mono_ms(tx->in->parts.clock);

    tx->scan_call = 0;
    if (rc == SP_OK)
        rc = take_reply(tx, reply);
    if (rc == SP_OK && tx->scan.state == SP_JOBS_SCAN_FAILED)
        rc = SP_E_SCAN_FAILED;
    if (rc == SP_OK)
        sp_intake_decide(tx);
    else if (tx->scan_tries < SCAN_TRIES && now < tx->scan_deadline_ms)
        ask(tx);
    else
        give_up(tx, rc);
}

static struct sp_bytes tenant_of(const struct transaction *tx)
{
    const struct who *who = tx->proof.who;

    return who == NULL || who->tenant == NULL ? SP_LIT("") : sp_bytes_cstr(who->tenant->name);
}

/* The first try may take half the time, so that the second has as much. */
static void ask(struct transaction *tx)
{
    int64_t left = tx->scan_deadline_ms - sp_clock_mono_ms(tx->in->parts.clock);
    int64_t limit = tx->scan_tries == 0 ? left / 2 + 1 : left;
    struct sp_jobs_scan_request request = {.content = tx->scan_content,
                                           .time_limit_ms = limit,
                                           .depth_max = DEPTH_MAX,
                                           .parts_max = PARTS_MAX,
                                           .unpacked_max = UNPACKED_MAX,
                                           .tenant = tenant_of(tx)};
    struct sp_jobs_request call = {.role = SP_ROLE_SCANNER,
                                   .index = SP_JOBS_ANY,
                                   .type = SP_JOBS_SCAN,
                                   .fds = &tx->scan_content.fd,
                                   .fd_count = 1,
                                   .timeout_ms = limit,
                                   .wait_for_peer = true,
                                   .suspect = tx->scan_tries > 0};
    struct sp_buf payload;

    tx->scan_tries++;
    sp_buf_init(&payload, SP_JOBS_PAYLOAD_MAX);
    sp_jobs_scan_request_encode(&payload, &request);
    call.payload = sp_buf_bytes(&payload);
    tx->scan_call = sp_jobs_call(tx->in->parts.jobs, &call, on_reply, tx);
    sp_buf_wipe(&payload); /* it holds the message's key */
}

void sp_intake_scan(struct transaction *tx)
{
    enum sp_rc rc = sp_queue_body_export(tx->body, &tx->scan_content);

    tx->scanned = true;
    tx->in->stats.scans++;
    if (rc != SP_OK) {
        give_up(tx, rc);
        return;
    }
    tx->scan_deadline_ms = sp_clock_mono_ms(tx->in->parts.clock) + tx->gen->scan_ms;
    ask(tx);
}
