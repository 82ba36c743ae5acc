/*
 * The end of packages. A package that has expired loses its key first, in one transaction with its sessions; then its
 * file goes; then the write-ahead log is emptied; and only then the audit says "destroyed". A crash anywhere is mended
 * by the next sweep: what has no key and no record yet is recorded again. A clock that jumps ahead for an hour must not
 * destroy what nobody has read yet: see sp_portal_sure_ms.
 */
#include "portal/report_priv.h"

#define DESTROY_A_SWEEP 500
#define BELIEVED_MS     ((int64_t)24 * 3600 * 1000)
#define SMALL_MS        60000 /* two clocks differ by that without anybody having set one */

static void report_next(void *arg);

static void report_ended(struct sp_portal *p)
{
    sp_free(p->reporting);
    p->reporting = NULL;
}

static void on_reported(void *arg, enum sp_rc rc)
{
    struct sp_portal *p = arg;
    struct sp_buf event;

    if (rc == SP_OK && p->reporting_unread) {
        p->reporting_unread = false;
        sp_buf_init(&event, 4096);
        sp_portal_record_destroyed(&event, p->reporting);
        p->o.ops.act(p->o.ops.ctx, sp_buf_bytes(&event), false, on_reported, p);
        sp_buf_clear(&event);
        return;
    }
    if (rc == SP_OK)
        rc = sp_portal_set_reported(p, p->reporting->id);
    report_ended(p);
    if (rc != SP_OK)
        sp_log_warn(p->o.log, "portal.destroy-not-recorded", SP_RC("why", rc));
    else
        report_next(p);
}

/* Records one destruction; the next follows when it is durable. */
static void report_next(void *arg)
{
    struct sp_portal *p = arg;
    struct portal_package pkg;
    struct sp_buf event;

    if (p->reporting != NULL || sp_portal_next_unreported(p, &pkg) != SP_OK)
        return;
    p->reporting = sp_malloc(sizeof(pkg));
    *p->reporting = pkg;
    p->reporting_unread = pkg.opens == 0;
    sp_portal_vault_remove(p, pkg.id); /* again, if a crash came between */
    sp_buf_init(&event, 4096);
    if (p->reporting_unread)
        sp_portal_record_unread(&event, &pkg);
    else
        sp_portal_record_destroyed(&event, &pkg);
    p->o.ops.act(p->o.ops.ctx, sp_buf_bytes(&event), false, on_reported, p);
    sp_buf_clear(&event);
}

/*
 * How far ahead the wall clock has stood for a day. One that gets further ahead meanwhile has stood so far, too: a machine that is
 * suspended each night is a few hours further each morning, and no time would ever be believed.
 */
int64_t sp_portal_sure_ms(struct sp_portal *p)
{
    int64_t ahead_ms = -sp_clock_skew_ms(p->o.clock), now_ms = sp_clock_mono_ms(p->o.clock);
    bool doubted = p->doubted_since_ms > 0 && ahead_ms >= p->doubted_ms - SMALL_MS;

    if (doubted && now_ms - p->doubted_since_ms >= BELIEVED_MS) {
        p->ahead_ms = ahead_ms < p->doubted_ms ? ahead_ms : p->doubted_ms;
        p->doubted_since_ms = 0;
        doubted = false;
    }
    if (ahead_ms <= p->ahead_ms + SMALL_MS) {
        p->ahead_ms = ahead_ms;
        p->doubted_since_ms = 0;
    } else if (!doubted) {
        p->doubted_ms = ahead_ms;
        p->doubted_since_ms = now_ms;
        sp_log_warn(p->o.log, "portal.clock-doubted", SP_INT("ahead_s", ahead_ms / 1000));
    }
    return sp_clock_steady_ms(p->o.clock) + p->ahead_ms;
}

static enum sp_rc destroy_expired(struct sp_portal *p)
{
    struct portal_package pkg;
    enum sp_rc rc = SP_OK;

    for (int i = 0; i < DESTROY_A_SWEEP && rc == SP_OK; i++) {
        rc = sp_portal_next_expired(p, &pkg);
        if (rc == SP_OK) {
            sp_portal_report_keep(p, &pkg);
            rc = sp_portal_forget(p, pkg.id);
        }
        if (rc == SP_OK) {
            sp_portal_vault_remove(p, pkg.id);
            sp_log_info(p->o.log, "portal.destroyed", SP_ID("message", &pkg.message),
                        SP_TEXT("package", pkg.id));
        }
    }
    return rc == SP_E_NOT_FOUND ? SP_OK : rc;
}

void sp_portal_sweep(struct sp_portal *p)
{
    enum sp_rc rc = destroy_expired(p);

    sp_portal_login_tidy(p);
    sp_portal_limit_tidy(p);
    if (rc == SP_OK)
        rc = sp_store_checkpoint(p->store, NULL);
    if (rc != SP_OK)
        sp_log_error(p->o.log, "portal.sweep-failed", SP_RC("why", rc));
    else
        report_next(p);
    sp_timer_start(p->due_timer, 0); /* the wall clock may have been set */
    sp_timer_start(p->sweep_timer, PORTAL_SWEEP_MS);
}
