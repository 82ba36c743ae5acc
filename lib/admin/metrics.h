/*
 * The admin role's page for machines: GET /metrics in Prometheus' text format (version 0.0.4), GET /healthz. It tells
 * counts and states, never an address, a domain or a message, and takes no orders. docs/operations.md lists the names.
 * thread: loop
 */
#ifndef SP_ADMIN_METRICS_H
#define SP_ADMIN_METRICS_H

#include "admin/admin.h"

struct sp_admin_metrics;

/*
 * Serves on a listening TCP socket, which stays the caller's. Questions go through a, which must outlive what is
 * returned.
 *
 * owner: the caller, until sp_admin_metrics_free
 */
struct sp_admin_metrics *sp_admin_metrics_new(struct sp_admin *a, struct sp_loop *loop,
                                              struct sp_log *log, int fd);

/* Cuts connections off and frees it; after the jobs are freed, so that no answer is under way. NULL is allowed. */
void sp_admin_metrics_free(struct sp_admin_metrics *m);
SP_AUTO_DEFINE(sp_admin_metrics)

#endif
