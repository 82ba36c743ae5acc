/*
 * An engine that ends, and the lines that it had shut: who has followed it hears when one opens.
 */
#include "delivery/unrouted_priv.h"

#include "support/check_main.h"

static unsigned told;
static int64_t told_before;

/* ---- the queue: the linker puts these in place of what they are named by ---- */

void __wrap_sp_queue_tell_due(struct sp_queue *q, int64_t before);

void __wrap_sp_queue_tell_due(struct sp_queue *q, int64_t before)
{
    (void)q;
    told++;
    told_before = before;
}

/* ---- */

static void on_take(void *arg)
{
    ck_assert(arg != NULL);
}

START_TEST(a_line_that_opens_is_told_to_who_follows)
{
    struct sp_loop *loop = sp_loop_new();
    struct sp_delivery d = {.parts.loop = loop};

    told = 0;
    d.take = sp_timer_new(loop, on_take, &d);
    sp_delivery_opened(&d);
    ck_assert(sp_timer_is_running(d.take)); /* it takes it itself */
    ck_assert_uint_eq(told, 0);
    sp_timer_cancel(d.take);
    d.draining = true;
    sp_delivery_opened(&d);
    ck_assert(!sp_timer_is_running(d.take));
    ck_assert_uint_eq(told, 1);
    ck_assert_int_eq(told_before, INT64_MAX);
    sp_delivery_poke(&d); /* by the queue, which tells whoever it is told of: no circle */
    ck_assert_uint_eq(told, 1);
    sp_timer_free(d.take);
    sp_loop_free(loop);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_line_that_opens_is_told_to_who_follows);
}

SP_TEST_MAIN("delivery.drain", add)
