/*
 * The board of all sites: made in steps, between which destinations come and go, and engines too.
 */
#include "delivery/board_priv.h"
#include "delivery/pool_priv.h"
#include "json/json.h"
#include "support/check_main.h"
#include "transport/transport_priv.h"

#include <stdio.h>

#define MANY 20000 /* destinations, with a message each */

static struct sp_lines *lines;
static struct sp_line_item items[MANY];
static const struct sp_route *route; /* to all of them; NULL: nobody has looked */

/* ---- the engine around: the linker puts these in place of what they are named by ---- */

struct sp_lines *__wrap_sp_queue_lines(struct sp_queue *q);
const struct sp_route *__wrap_sp_transport_look(const struct sp_transport *t,
                                                struct sp_bytes domain);

struct sp_lines *__wrap_sp_queue_lines(struct sp_queue *q)
{
    (void)q;
    return lines;
}

const struct sp_route *__wrap_sp_transport_look(const struct sp_transport *t,
                                                struct sp_bytes domain)
{
    (void)t, (void)domain;
    return route;
}

/* ---- */

static void add_line(size_t i)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "d%zu.test", i);
    items[i] = (struct sp_line_item){.cost = 1};
    items[i].line = sp_lines_ref(lines, SP_LIT("t"), sp_bytes_cstr(name), SP_LANE_NORMAL);
    sp_lines_put(lines, &items[i], 0, 0);
}

static void remove_line(size_t i)
{
    sp_lines_remove(lines, &items[i]);
    sp_lines_unref(lines, items[i].line);
}

static void start(struct sp_delivery *d, struct sp_loop *loop)
{
    struct sp_pool_settings settings = {.loop = loop, .site_max = 1};

    *d = (struct sp_delivery){.pool = sp_pool_new(&settings)};
    sp_list_init(&d->boards);
}

/* returns: destinations that are told of */
static int64_t told(const struct sp_delivery_board *b)
{
    struct sp_json_doc *doc;
    int64_t count;

    ck_assert_int_eq(sp_json_parse(sp_buf_bytes(sp_delivery_board_json(b)), NULL, &doc, NULL),
                     SP_OK);
    count = sp_json_int_of(sp_json_find(sp_json_root(doc), "elsewhere"), "lines", -1);
    sp_json_doc_free(doc);
    return count;
}

static void set_up(void)
{
    lines = sp_lines_new();
    for (size_t i = 0; i < MANY; i++)
        add_line(i);
}

static void tear_down(void)
{
    for (size_t i = 0; i < MANY; i++)
        remove_line(i);
    sp_lines_free(lines);
}

START_TEST(it_takes_many_steps_beside_mail)
{
    struct sp_loop *loop = sp_loop_new();
    struct sp_delivery d;
    struct sp_delivery_board *b;
    size_t steps = 0;

    start(&d, loop);
    b = sp_delivery_board_new(1 << 20);
    for (; sp_delivery_board_step(b, &d); steps++) { /* who comes and goes is none of the others */
        remove_line(steps);
        add_line(steps);
    }
    ck_assert_uint_ge(steps, MANY / 1024);
    ck_assert_int_le(told(b), MANY + (int64_t)steps);
    ck_assert_int_ge(told(b), MANY - (int64_t)steps);
    sp_delivery_board_free(b);
    sp_pool_free(d.pool);
    sp_loop_free(loop);
}
END_TEST

START_TEST(with_another_engine_it_begins_anew)
{
    struct sp_loop *loop = sp_loop_new();
    struct sp_delivery d;

    for (unsigned before = 0; before < 40; before++) {
        struct sp_delivery_board *b = sp_delivery_board_new(1 << 20);

        start(&d, loop);
        for (unsigned i = 0; i < before && sp_delivery_board_step(b, &d); i++)
            continue;
        sp_delivery_boards_leave(&d); /* it ends, and the next lies in its place */
        sp_pool_free(d.pool);
        start(&d, loop);
        while (sp_delivery_board_step(b, &d))
            continue;
        ck_assert_int_eq(told(b), MANY);
        sp_delivery_board_free(b);
        ck_assert(sp_list_is_empty(&d.boards));
        sp_pool_free(d.pool);
    }
    sp_loop_free(loop);
}
END_TEST

static void start_hop(struct sp_hop *hop, const char *name, uint16_t preference)
{
    *hop = (struct sp_hop){
        .name = sp_bytes_cstr(name), .base = sp_bytes_cstr(name), .preference = preference};
}

/* They stand in the order of the settings, whichever is preferred. */
START_TEST(what_waits_counts_at_the_smarthost_to_which_it_would_go_first)
{
    struct sp_loop *loop = sp_loop_new();
    struct sp_hop hops[2];
    struct sp_route like = {
        .domain = SP_LIT("r"), .via = SP_VIA_ROUTE, .hops = hops, .hop_count = SP_ARRAY_LEN(hops)};
    struct sp_delivery_board *b = sp_delivery_board_new(1 << 20);
    const struct sp_json *site;
    struct sp_json_doc *doc;
    struct sp_delivery d;

    start_hop(&hops[0], "backup.test", 20);
    start_hop(&hops[1], "main.test", 10);
    route = sp_route_copy(&like);
    start(&d, loop);
    for (size_t i = 0; i < SP_ARRAY_LEN(hops); i++)
        (void)sp_pool_get_host(
            d.pool, &(struct sp_pool_ask){.route = route, .hop = i, .tenant = SP_LIT("t")});
    while (sp_delivery_board_step(b, &d))
        continue;
    ck_assert_int_eq(told(b), 0); /* elsewhere */
    ck_assert_int_eq(sp_json_parse(sp_buf_bytes(sp_delivery_board_json(b)), NULL, &doc, NULL),
                     SP_OK);
    site = sp_json_find(sp_json_root(doc), "sites")->first;
    for (size_t i = 0; i < SP_ARRAY_LEN(hops); i++, site = site->next)
        ck_assert_int_eq(sp_json_int_of(site, "ready", -1),
                         sp_bytes_eq(sp_json_text_of(site, "site"), SP_LIT("main.test")) ? MANY
                                                                                         : 0);
    ck_assert_ptr_null(site);
    sp_json_doc_free(doc);
    sp_delivery_board_free(b);
    sp_pool_free(d.pool);
    sp_loop_free(loop);
    sp_route_unref(route);
    route = NULL;
}
END_TEST

static void add(TCase *c)
{
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, it_takes_many_steps_beside_mail);
    tcase_add_test(c, with_another_engine_it_begins_anew);
    tcase_add_test(c, what_waits_counts_at_the_smarthost_to_which_it_would_go_first);
}

SP_TEST_MAIN("delivery.board", add)
