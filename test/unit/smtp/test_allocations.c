/*
 * A warm session allocates nothing: the allocator is counted (the linker puts the counters below in its place), a session
 * runs through its commands once, and the second time must not ask for memory at all.
 */
#include "base/mem.h"
#include "smtp/server.h"

#include "support/check_main.h"
#include "support/fake_clock.h"

void *__real_sp_calloc(size_t count, size_t len);
void *__real_sp_malloc(size_t len);
void *__real_sp_realloc(void *ptr, size_t len);
void *__wrap_sp_calloc(size_t count, size_t len);
void *__wrap_sp_malloc(size_t len);
void *__wrap_sp_realloc(void *ptr, size_t len);

static size_t allocations;

void *__wrap_sp_calloc(size_t count, size_t len)
{
    allocations++;
    return __real_sp_calloc(count, len);
}

void *__wrap_sp_malloc(size_t len)
{
    allocations++;
    return __real_sp_malloc(len);
}

void *__wrap_sp_realloc(void *ptr, size_t len)
{
    allocations++;
    return __real_sp_realloc(ptr, len);
}

static const char session[] =
    "EHLO client.example\r\nNOOP\r\nVRFY a\r\nHELP\r\n"
    "MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x\r\n"
    "RCPT TO:<c@d.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;c@d.example\r\n"
    "RCPT TO:<e@d.example>\r\nDATA\r\nSubject: x\r\n\r\n..dots\r\ntext\r\n.\r\n"
    "MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nBDAT 5\r\nab\r\ncBDAT 4 LAST\r\nd\r\n."
    "MAIL FROM:<a@b.example> X=1\r\nBOGUS\r\nRSET\r\n";

/* Runs the whole session. returns: how many replies were said */
static size_t run(struct sp_smtp_server *s)
{
    struct sp_bytes input = sp_bytes_cstr(session), out;
    struct sp_smtp_server_event ev;
    size_t replies = 0;

    while (sp_smtp_server_next(s, &input, &ev)) {
        if (ev.type == SP_SMTP_SERVER_MAIL || ev.type == SP_SMTP_SERVER_RCPT ||
            ev.type == SP_SMTP_SERVER_DATA || ev.type == SP_SMTP_SERVER_END)
            sp_smtp_server_answer(s, SP_OK, sp_bytes(NULL, 0));
    }
    ck_assert_uint_eq(input.len, 0);
    out = sp_smtp_server_output(s);
    for (size_t i = 0; i < out.len; i++)
        replies += out.ptr[i] == '\n';
    sp_smtp_server_sent(s, out.len);
    return replies;
}

START_TEST(a_warm_session_allocates_nothing)
{
    struct fake_clock clock;
    struct sp_smtp_server_config config = {.hostname = "gw.example",
                                           .clock = &clock.clock,
                                           .size_limit = 1000000,
                                           .line_limit = 2000,
                                           .max_recipients = 100,
                                           .max_errors = 1000,
                                           .max_idle = 1000};
    struct sp_smtp_server *s;
    size_t cold, warm, replies;

    fake_clock_init(&clock, 0);
    s = sp_smtp_server_new(&config);
    replies = run(s);
    cold = allocations;
    ck_assert_uint_gt(cold, 0); /* the counters count */
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(run(s), replies - 1); /* but for the greeting */
    warm = allocations - cold;
    ck_assert_uint_eq(warm, 0);
    sp_smtp_server_free(s);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_warm_session_allocates_nothing);
}

SP_TEST_MAIN("smtp.allocations", add)
