/*
 * A domain's MTA-STS looked at: TXT record, fetch, and the ledger told before the policy counts. Fetcher and ledger are
 * the test's own peers on the same loop.
 */
#include "jobs/act.h"
#include "jobs/fetch.h"
#include "jobs/jobs.h"
#include "support/check_main.h"
#include "support/fake_dns.h"
#include "transport/sts_quest.h"

#include <stdio.h>
#include <sys/socket.h>

#define DOMAIN  SP_LIT("a.test")
#define ENFORCE "version: STSv1\nmode: enforce\nmx: mx.a.test\nmax_age: 86400\n"
#define DAY_MS  86400000

struct world {
    struct sp_loop *loop;
    struct fake_dns *dns;
    struct sp_jobs *jobs;  /* the relay's */
    struct sp_jobs *peers; /* fetcher and ledger */
    struct sp_sts_cache *cache;
    struct sp_sts_found found;
    unsigned calls;
    unsigned fetches;
    const char *policy; /* what the fetcher has; NULL: it fails */
    char kept[4096];    /* the ledger's event */
    enum sp_rc keep_rc;
    bool forgot; /* the ledger has none of the policies that are renewed */
    unsigned acts;
    size_t act_bytes;
    bool hangs;
    int64_t moment_ms;
    struct sp_jobs_job *hanging; /* a fetch without an answer */
    bool was_cached;             /* when the ledger was asked */
};

static int64_t now_ms(const struct world *w)
{
    return sp_clock_wall_ms(sp_loop_clock(w->loop));
}

static void on_fetch(void *arg, struct sp_jobs_job *job)
{
    struct world *w = arg;
    struct sp_jobs_fetch_reply reply = {0};
    struct sp_buf out;

    w->fetches++;
    if (w->hangs) {
        w->hanging = job;
        return;
    }
    sp_buf_init(&out, 8192);
    if (w->policy != NULL) {
        reply.body = sp_bytes_cstr(w->policy);
        sp_jobs_fetch_reply_encode(&out, &reply);
    }
    sp_jobs_job_reply(job, w->policy == NULL ? SP_E_FETCH_STATUS : SP_OK, sp_buf_bytes(&out), NULL,
                      0);
    sp_buf_clear(&out);
}

static void on_act(void *arg, struct sp_jobs_job *job)
{
    struct world *w = arg;
    struct sp_jobs_act_request act;

    ck_assert(sp_jobs_act_request_decode(sp_jobs_job_payload(job), &act) == SP_OK);
    ck_assert(act.event.len < sizeof(w->kept) && !act.batch);
    memcpy(w->kept, act.event.ptr, act.event.len);
    w->kept[act.event.len] = '\0';
    w->acts++;
    w->act_bytes += act.event.len;
    w->was_cached = sp_sts_cache_find(w->cache, DOMAIN, now_ms(w)) != NULL;
    sp_jobs_job_reply(
        job, w->forgot && strstr(w->kept, "evidence.renewed") != NULL ? SP_E_NOT_FOUND : w->keep_rc,
        SP_LIT(""), NULL, 0);
}

static void connect_role(struct world *w, enum sp_role_kind role)
{
    int fds[2];

    ck_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    sp_jobs_add_peer(w->jobs, role, 0, fds[0]);
    sp_jobs_add_peer(w->peers, SP_ROLE_RELAY, role, fds[1]);
}

static void start(struct world *w)
{
    *w = (struct world){.loop = sp_loop_new(), .policy = ENFORCE};
    w->dns = fake_dns_new(w->loop, true);
    w->jobs = sp_jobs_new(w->loop, NULL);
    w->peers = sp_jobs_new(w->loop, NULL);
    w->cache = sp_sts_cache_new(10);
    sp_jobs_serve(w->peers, SP_JOBS_FETCH, on_fetch, w);
    sp_jobs_serve(w->peers, SP_JOBS_ACT, on_act, w);
    connect_role(w, SP_ROLE_FETCHER);
    connect_role(w, SP_ROLE_LEDGER);
    fake_dns_add(w->dns, "mta-sts.a.test", SP_DNS_A, false, "192.0.2.9");
}

static void stop(struct world *w)
{
    sp_jobs_free(w->jobs);
    sp_jobs_free(w->peers);
    sp_sts_cache_free(w->cache);
    fake_dns_free(w->dns);
    sp_loop_free(w->loop);
}

static void on_found(void *arg, const struct sp_sts_found *found)
{
    struct world *w = arg;

    w->calls++;
    w->found = *found;
}

static void look_so(struct world *w, bool refresh)
{
    struct sp_sts_quest_plan plan = {
        .refresh = refresh,
        .moment_ms = w->moment_ms,
        .loop = w->loop,
        .dns = fake_dns_ops(w->dns),
        .jobs = w->jobs,
        .cache = w->cache,
        .domain = DOMAIN,
    };
    unsigned before = w->calls;
    struct sp_sts_quest *q = sp_sts_quest_new(&plan, on_found, w);

    for (int i = 0; i < 2000 && w->calls == before; i++)
        sp_loop_run_once(w->loop, 5);
    ck_assert_uint_eq(w->calls, before + 1);
    sp_sts_quest_free(q);
}

/* As mail does. */
static void look(struct world *w)
{
    look_so(w, false);
}

static void add_txt(struct world *w, const char *text)
{
    fake_dns_add(w->dns, "_mta-sts.a.test", SP_DNS_TXT, false, text);
}

START_TEST(a_policy_is_with_the_ledger_before_it_counts)
{
    struct world w;

    start(&w);
    add_txt(&w, "v=STSv1; id=7;");
    look(&w);
    ck_assert_int_eq(w.found.why, SP_OK);
    ck_assert(w.found.fetched && !w.was_cached);
    ck_assert(strstr(w.kept, "\"event\":\"evidence.recorded\"") != NULL);
    ck_assert(strstr(w.kept, "\"domain\":\"a.test\"") != NULL);
    ck_assert(strstr(w.kept, "\"id\":\"7\"") != NULL);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w))->mode == SP_STS_MODE_ENFORCE);
    look(&w);
    ck_assert_uint_eq(w.fetches, 1); /* the id is the same */
    stop(&w);
}
END_TEST

START_TEST(without_the_ledger_it_binds_all_the_same)
{
    struct world w;

    start(&w);
    w.keep_rc = SP_E_STORE_FAILED;
    add_txt(&w, "v=STSv1; id=7;");
    look(&w);
    ck_assert_int_eq(w.found.why, SP_OK);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w)) != NULL);
    stop(&w);
}
END_TEST

START_TEST(a_new_id_fetches_and_a_failure_keeps_the_old)
{
    struct world w;

    start(&w);
    add_txt(&w, "v=STSv1; id=7;");
    look(&w);
    fake_dns_clear(w.dns);
    fake_dns_add(w.dns, "mta-sts.a.test", SP_DNS_A, false, "192.0.2.9");
    add_txt(&w, "v=STSv1; id=8;");
    w.policy = NULL;
    look(&w);
    ck_assert_uint_eq(w.fetches, 2);
    ck_assert_int_eq(w.found.why, SP_E_FETCH_STATUS);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w))->mode == SP_STS_MODE_ENFORCE);
    stop(&w);
}
END_TEST

START_TEST(what_is_no_policy_replaces_nothing)
{
    static const char *const bad[] = {"", "version: STSv1\nmode: enforce\nmax_age: 1\n",
                                      "version: STSv2\nmode: none\nmax_age: 1\n",
                                      "version: STSv1\nmode: none\nmax_age: 1\nx: \xff\n"};

    for (size_t i = 0; i < SP_ARRAY_LEN(bad); i++) {
        struct world w;

        start(&w);
        w.policy = bad[i];
        add_txt(&w, "v=STSv1; id=7;");
        look(&w);
        ck_assert_msg(w.found.why == SP_E_STS_INVALID, "case %zu: %s", i, sp_rc_name(w.found.why));
        ck_assert(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w)) == NULL);
        ck_assert(w.kept[0] == '\0');
        stop(&w);
    }
}
END_TEST

START_TEST(an_old_policy_is_refreshed_though_the_record_is_gone)
{
    struct world w;

    start(&w);
    /* past three quarters of its life: due for refreshing whatever the random time was */
    ck_assert(sp_sts_cache_put(w.cache, DOMAIN, SP_LIT("7"), SP_LIT(ENFORCE),
                               now_ms(&w) - DAY_MS * 8 / 10) == SP_OK);
    ck_assert(sp_bytes_eq(sp_sts_cache_find_old(w.cache, now_ms(&w)), DOMAIN));
    look(&w); /* mail does not wait for that */
    ck_assert_uint_eq(w.fetches, 0);
    ck_assert_int_eq(w.found.why, SP_OK);
    look_so(&w, true);
    ck_assert_uint_eq(w.fetches, 1);
    ck_assert_int_eq(w.found.txt, SP_E_STS_NONE);
    ck_assert(!w.found.doubt);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w) + DAY_MS / 2) != NULL);
    ck_assert_uint_eq(sp_sts_cache_find_old(w.cache, now_ms(&w)).len, 0);
    stop(&w);
}
END_TEST

/* Eight tenths of its life are over: it is due for refreshing whatever the random time was. */
static void refresh(struct world *w)
{
    ck_assert(sp_sts_cache_put(w->cache, DOMAIN, SP_LIT("7"), SP_LIT(ENFORCE),
                               now_ms(w) - DAY_MS * 8 / 10) == SP_OK);
    add_txt(w, "v=STSv1; id=7;");
    look_so(w, true);
    ck_assert_uint_eq(w->fetches, 1);
    ck_assert_int_eq(w->found.why, SP_OK);
    ck_assert(sp_sts_cache_find(w->cache, DOMAIN, now_ms(w) + DAY_MS / 2) != NULL);
}

START_TEST(the_same_policy_is_written_once_and_then_cited)
{
    struct world w;

    start(&w);
    refresh(&w);
    ck_assert_uint_eq(w.acts, 1);
    ck_assert(strstr(w.kept, "\"event\":\"evidence.renewed\"") != NULL);
    ck_assert(strstr(w.kept, "\"digest\":\"sts:") != NULL);
    ck_assert(strstr(w.kept, "\"domain\":\"a.test\"") != NULL);
    ck_assert(strstr(w.kept, "\"object\"") == NULL);
    stop(&w);
}
END_TEST

/* Else whoever says that his policy binds for no time has its text written with each look. */
START_TEST(a_policy_that_has_ended_is_cited_if_it_comes_again)
{
    struct world w;

    start(&w);
    w.policy = "version: STSv1\nmode: enforce\nmx: mx.a.test\nmax_age: 0\n";
    add_txt(&w, "v=STSv1; id=7;");
    look(&w);
    ck_assert(strstr(w.kept, "\"event\":\"evidence.recorded\"") != NULL);
    ck_assert_ptr_null(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w) + 1000));
    look(&w);
    ck_assert_uint_eq(w.fetches, 2);
    ck_assert_uint_eq(w.acts, 2);
    ck_assert(strstr(w.kept, "\"event\":\"evidence.renewed\"") != NULL);
    stop(&w);
}
END_TEST

START_TEST(a_policy_that_has_changed_is_written_whole)
{
    struct world w;

    start(&w);
    w.policy = "version: STSv1\nmode: enforce\nmx: mx2.a.test\nmax_age: 86400\n";
    refresh(&w);
    ck_assert_uint_eq(w.acts, 1);
    ck_assert(strstr(w.kept, "\"event\":\"evidence.recorded\"") != NULL);
    ck_assert(strstr(w.kept, "mx2.a.test") != NULL);
    stop(&w);
}
END_TEST

START_TEST(a_ledger_that_has_it_not_gets_it_whole)
{
    struct world w;

    start(&w);
    w.forgot = true;
    refresh(&w);
    ck_assert_uint_eq(w.acts, 2);
    ck_assert(strstr(w.kept, "\"event\":\"evidence.recorded\"") != NULL);
    ck_assert(strstr(w.kept, "\"object\"") != NULL);
    stop(&w);
}
END_TEST

/* As fast as its record and its policies may be asked for. */
START_TEST(a_domain_with_another_text_each_time_has_so_much_written_and_then_its_digest)
{
    char policy[3072], id[32];
    unsigned whole = 0, withheld = 0;
    struct world w;

    start(&w);
    w.policy = policy;
    for (unsigned i = 0; i < 300; i++) {
        int head =
            snprintf(policy, sizeof(policy),
                     "version: STSv1\nmode: enforce\nmx: mx.a.test\nmax_age: 86400\nfiller: %u", i);
        unsigned acts = w.acts;

        memset(policy + head, 'x', sizeof(policy) - (size_t)head);
        policy[sizeof(policy) - 2] = '\n';
        policy[sizeof(policy) - 1] = '\0';
        (void)snprintf(id, sizeof(id), "v=STSv1; id=n%u;", i);
        fake_dns_clear(w.dns);
        fake_dns_add(w.dns, "mta-sts.a.test", SP_DNS_A, false, "192.0.2.9");
        add_txt(&w, id);
        look(&w);
        if (w.acts == acts)
            continue;
        if (strstr(w.kept, "\"object\"") != NULL)
            whole++;
        else
            withheld += strstr(w.kept, "\"withheld\":{\"length\":3071,\"why\":\"limit\"}") != NULL;
        ck_assert(strstr(w.kept, "\"event\":\"evidence.recorded\"") != NULL);
        ck_assert(strstr(w.kept, "\"digest\":\"sts:") != NULL);
    }
    ck_assert_uint_eq(whole, 256 * 1024 / 3071);
    ck_assert_uint_eq(withheld, 1); /* the next is not fetched for five minutes */
    ck_assert_uint_le(w.act_bytes, 256 * 1024 + (whole + 1) * 512);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w)) != NULL); /* it binds all the same */
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w))->is_short);
    stop(&w);
}
END_TEST

/* A ledger that is slow, or restarts, would get 64 KiB for each word that it did not answer in time. */
START_TEST(a_ledger_that_does_not_answer_is_not_sent_the_whole)
{
    static const enum sp_rc why[] = {SP_E_ROLE_GONE, SP_E_JOB_DEADLINE, SP_E_JOURNAL_FAILED,
                                     SP_E_LIMIT};

    for (size_t i = 0; i < SP_ARRAY_LEN(why); i++) {
        struct world w;

        start(&w);
        w.keep_rc = why[i];
        refresh(&w);
        ck_assert_uint_eq(w.acts, 1);
        ck_assert(strstr(w.kept, "\"event\":\"evidence.renewed\"") != NULL);
        stop(&w);
    }
}
END_TEST

START_TEST(a_policy_that_is_fresh_asks_nobody_without_its_record)
{
    struct world w;

    start(&w);
    ck_assert(sp_sts_cache_put(w.cache, DOMAIN, SP_LIT("7"), SP_LIT(ENFORCE), now_ms(&w)) == SP_OK);
    look(&w);
    ck_assert_uint_eq(w.fetches, 0);
    ck_assert_int_eq(w.found.why, SP_OK);
    stop(&w);
}
END_TEST

START_TEST(a_record_that_is_not_there_is_no_reason_to_wait)
{
    struct world w;

    start(&w);
    look(&w);
    ck_assert_int_eq(w.found.why, SP_E_STS_NONE);
    ck_assert(!w.found.doubt);
    stop(&w);
}
END_TEST

START_TEST(a_record_that_cannot_be_asked_is_no_absence)
{
    struct world w;

    start(&w);
    fake_dns_set_rc(w.dns, "_mta-sts.a.test", SP_DNS_TXT, SP_E_DNS_SERVFAIL, false);
    look(&w);
    ck_assert_int_eq(w.found.why, SP_E_DNS_SERVFAIL);
    ck_assert_int_eq(w.found.txt, SP_E_DNS_SERVFAIL);
    ck_assert(w.found.doubt);
    ck_assert_uint_eq(w.fetches, 0);
    /* but no reason to wait for ever */
    ck_assert(sp_sts_cache_doubt(w.cache, DOMAIN, SP_E_DNS_TIMEOUT, now_ms(&w) + 1000));
    ck_assert(!sp_sts_cache_doubt(w.cache, DOMAIN, SP_E_DNS_TIMEOUT,
                                  now_ms(&w) + SP_STS_DOUBT_MS + 1000));
    ck_assert(!sp_sts_cache_doubt(w.cache, DOMAIN, SP_OK, now_ms(&w)));
    ck_assert(
        sp_sts_cache_doubt(w.cache, DOMAIN, SP_E_DNS_TIMEOUT, now_ms(&w) + SP_STS_DOUBT_MS + 1000));
    stop(&w);
}
END_TEST

START_TEST(mail_waits_a_moment_for_a_new_id_and_no_longer)
{
    struct world w;
    int64_t began_ms;

    start(&w);
    add_txt(&w, "v=STSv1; id=7;");
    look(&w);
    fake_dns_clear(w.dns);
    fake_dns_add(w.dns, "mta-sts.a.test", SP_DNS_A, false, "192.0.2.9");
    add_txt(&w, "v=STSv1; id=8;");
    w.hangs = true;
    w.moment_ms = 50;
    began_ms = now_ms(&w);
    look(&w);
    ck_assert_int_eq(w.found.why, SP_OK);
    ck_assert(!w.found.fetched && now_ms(&w) - began_ms < 9000);
    ck_assert(sp_bytes_eq(sp_sts_cache_find(w.cache, DOMAIN, now_ms(&w))->id, SP_LIT("7")));
    /* it is fetched later, with nobody waiting */
    ck_assert(sp_bytes_eq(sp_sts_cache_find_old(w.cache, now_ms(&w)), DOMAIN));
    sp_jobs_job_reply(w.hanging, SP_E_FETCH_FAILED, SP_LIT(""), NULL, 0);
    stop(&w);
}
END_TEST

START_TEST(what_was_told_by_others_never_puts_the_clock_back)
{
    struct world w;

    start(&w);
    ck_assert(sp_sts_cache_put(w.cache, DOMAIN, SP_LIT("8"), SP_LIT(ENFORCE), 5000) == SP_OK);
    ck_assert(sp_sts_cache_tell(w.cache, DOMAIN, SP_LIT("7"),
                                SP_LIT("version: STSv1\nmode: none\nmax_age: 86400\n"),
                                4000) == SP_OK);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, 6000)->mode == SP_STS_MODE_ENFORCE);
    ck_assert(sp_sts_cache_tell(w.cache, DOMAIN, SP_LIT("9"),
                                SP_LIT("version: STSv1\nmode: none\nmax_age: 86400\n"),
                                5001) == SP_OK);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, 6000)->mode == SP_STS_MODE_NONE);
    sp_sts_cache_forget(w.cache, DOMAIN);
    ck_assert(sp_sts_cache_find(w.cache, DOMAIN, 6000) == NULL);
    stop(&w);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_policy_is_with_the_ledger_before_it_counts);
    tcase_add_test(c, without_the_ledger_it_binds_all_the_same);
    tcase_add_test(c, a_new_id_fetches_and_a_failure_keeps_the_old);
    tcase_add_test(c, what_is_no_policy_replaces_nothing);
    tcase_add_test(c, an_old_policy_is_refreshed_though_the_record_is_gone);
    tcase_add_test(c, the_same_policy_is_written_once_and_then_cited);
    tcase_add_test(c, a_policy_that_has_ended_is_cited_if_it_comes_again);
    tcase_add_test(c, a_policy_that_has_changed_is_written_whole);
    tcase_add_test(c, a_ledger_that_has_it_not_gets_it_whole);
    tcase_add_test(c, a_domain_with_another_text_each_time_has_so_much_written_and_then_its_digest);
    tcase_add_test(c, a_ledger_that_does_not_answer_is_not_sent_the_whole);
    tcase_add_test(c, a_policy_that_is_fresh_asks_nobody_without_its_record);
    tcase_add_test(c, a_record_that_is_not_there_is_no_reason_to_wait);
    tcase_add_test(c, a_record_that_cannot_be_asked_is_no_absence);
    tcase_add_test(c, mail_waits_a_moment_for_a_new_id_and_no_longer);
    tcase_add_test(c, what_was_told_by_others_never_puts_the_clock_back);
}

SP_TEST_MAIN("transport.sts_quest", add)
