/*
 * The decisions of delivery: every cause on every rung, and the one thing that must never come out.
 */
#include "delivery/outcome.h"
#include "mail/envelope.h"
#include "support/check_main.h"
#include "support/fake_clock.h"

#define HOUR   ((int64_t)3600 * 1000)
#define EXPIRE (48 * HOUR)

static const struct sp_ladder everyday = {
    .rungs = {{SP_RUNG_TLS_DANE, -1, 4 * HOUR},
              {SP_RUNG_TLS_AUTHENTICATED, -1, 4 * HOUR},
              {SP_RUNG_TLS_VERIFIED, -1, 4 * HOUR},
              {SP_RUNG_TLS_ENCRYPTED, -1, 4 * HOUR},
              {SP_RUNG_PORTAL, -1, 4 * HOUR}},
    .count = 5,
    .floor = SP_FLOOR_TLS_ENCRYPTED,
};
static const struct sp_ladder careful = {
    .rungs = {{SP_RUNG_SMIME, -1, 2 * HOUR},
              {SP_RUNG_PGP, -1, 2 * HOUR},
              {SP_RUNG_TLS_DANE, -1, 2 * HOUR},
              {SP_RUNG_TLS_AUTHENTICATED, -1, 2 * HOUR},
              {SP_RUNG_PORTAL, -1, 2 * HOUR}},
    .count = 5,
    .floor = SP_FLOOR_TLS_AUTHENTICATED,
};
static const struct sp_ladder chosen_plain = {
    .rungs = {{SP_RUNG_TLS_ENCRYPTED, -1, 4 * HOUR}, {SP_RUNG_PLAIN, -1, 4 * HOUR}},
    .count = 2,
    .floor = SP_FLOOR_PLAIN,
};
static const struct sp_ladder tls_only = {
    .rungs = {{SP_RUNG_TLS_ENCRYPTED, -1, 4 * HOUR}},
    .count = 1,
    .floor = SP_FLOOR_TLS_ENCRYPTED,
    .at_end = SP_AT_END_HOLD,
};

static struct sp_standing begin(const struct sp_ladder *ladder, int64_t since_ms)
{
    struct sp_standing s = {.ladder = ladder,
                            .floor = ladder->floor,
                            .has_portal = true,
                            .since_accept_ms = since_ms,
                            .expire_ms = EXPIRE};

    sp_outcome_begin(&s);
    return s;
}

/* What a host shows that proves this level and promises no more. */
static struct sp_hop_report shows(enum sp_level level)
{
    struct sp_hop_report r = {.dane_why = SP_E_DANE_UNSIGNED, .auth_why = SP_E_STS_NONE};

    r.verdict.level = level;
    r.verdict.dane_why = level < SP_LEVEL_DANE ? SP_E_DANE_UNSIGNED : SP_OK;
    r.verdict.auth_why = level < SP_LEVEL_AUTHENTICATED ? SP_E_STS_NONE : SP_OK;
    r.verdict.verified_why = level < SP_LEVEL_VERIFIED ? SP_E_TLS_UNTRUSTED : SP_OK;
    r.verdict.tls_why = level < SP_LEVEL_ENCRYPTED ? SP_E_TLS_ABSENT : SP_OK;
    return r;
}

static struct sp_hop_report silent(enum sp_rc rc)
{
    struct sp_hop_report r = shows(SP_LEVEL_PLAIN);

    r.rc = rc;
    return r;
}

static struct sp_hop_report broken(void)
{
    struct sp_hop_report r = shows(SP_LEVEL_PLAIN);

    r.dane_why = SP_OK;
    r.verdict.broken = true;
    r.verdict.dane_why = SP_E_TLS_DANE;
    return r;
}

static struct sp_hop_report dropped_from(enum sp_level before, enum sp_level now)
{
    struct sp_hop_report r = shows(now);

    r.has_before = true;
    r.before = before;
    return r;
}

#define TAKE   SP_STEP_TAKE
#define WAIT   SP_STEP_WAIT
#define RETURN SP_STEP_RETURN
#define HOLD   SP_STEP_HOLD

START_TEST(every_cause_on_every_rung)
{
    static const struct {
        const char *name;
        const struct sp_ladder *ladder;
        int64_t since;
        enum { SHOWS, SILENT, BROKEN, DROPPED } kind;
        enum sp_level level;
        enum sp_level before;
        enum sp_step step;
        enum sp_rung rung; /* taken or waited for */
        enum sp_rc why;
    } cases[] = {
        {"DANE is taken", &everyday, 0, SHOWS, SP_LEVEL_DANE, 0, TAKE, SP_RUNG_TLS_DANE, 0},
        {"authenticated", &everyday, 0, SHOWS, SP_LEVEL_AUTHENTICATED, 0, TAKE,
         SP_RUNG_TLS_AUTHENTICATED, 0},
        {"verified", &everyday, 0, SHOWS, SP_LEVEL_VERIFIED, 0, TAKE, SP_RUNG_TLS_VERIFIED, 0},
        {"encrypted", &everyday, 0, SHOWS, SP_LEVEL_ENCRYPTED, 0, TAKE, SP_RUNG_TLS_ENCRYPTED, 0},
        {"no STARTTLS falls to the portal", &everyday, 0, SHOWS, SP_LEVEL_PLAIN, 0, TAKE,
         SP_RUNG_PORTAL, 0},
        {"silence waits", &everyday, 20 * HOUR, SILENT, 0, 0, WAIT, SP_RUNG_TLS_VERIFIED,
         SP_E_HOP_UNREACHABLE},
        {"silence to the end goes to the portal", &everyday, EXPIRE, SILENT, 0, 0, TAKE,
         SP_RUNG_PORTAL, 0},
        {"a broken promise waits", &everyday, 20 * HOUR, BROKEN, 0, 0, WAIT, SP_RUNG_TLS_DANE,
         SP_E_TLS_DANE},
        {"a drop waits first", &everyday, 1 * HOUR, DROPPED, SP_LEVEL_ENCRYPTED, SP_LEVEL_DANE,
         WAIT, SP_RUNG_TLS_DANE, SP_E_DANE_UNSIGNED},
        {"then takes the next", &everyday, 5 * HOUR, DROPPED, SP_LEVEL_ENCRYPTED, SP_LEVEL_DANE,
         TAKE, SP_RUNG_TLS_ENCRYPTED, 0},
        {"a stripped STARTTLS is a drop", &everyday, 1 * HOUR, DROPPED, SP_LEVEL_PLAIN,
         SP_LEVEL_ENCRYPTED, WAIT, SP_RUNG_TLS_ENCRYPTED, SP_E_TLS_ABSENT},
        {"plain where it is written", &chosen_plain, 0, SHOWS, SP_LEVEL_PLAIN, 0, TAKE,
         SP_RUNG_PLAIN, 0},
        {"plain not by silence", &chosen_plain, 20 * HOUR, SILENT, 0, 0, WAIT,
         SP_RUNG_TLS_ENCRYPTED, SP_E_HOP_UNREACHABLE},
        {"plain not by a broken promise", &chosen_plain, 20 * HOUR, BROKEN, 0, 0, WAIT,
         SP_RUNG_TLS_ENCRYPTED, SP_E_TLS_DANE},
        {"no rung left: held, as the ladder says", &tls_only, 0, SHOWS, SP_LEVEL_PLAIN, 0, HOLD, 0,
         SP_E_TLS_ABSENT},
        {"expired in silence", &tls_only, EXPIRE, SILENT, 0, 0, HOLD, 0, SP_E_HOP_UNREACHABLE},
        {"careful: TLS alone is not enough", &careful, 0, SHOWS, SP_LEVEL_ENCRYPTED, 0, TAKE,
         SP_RUNG_PORTAL, 0},
        {"careful: a drop of 1 h waits", &careful, 1 * HOUR, DROPPED, SP_LEVEL_ENCRYPTED,
         SP_LEVEL_AUTHENTICATED, WAIT, SP_RUNG_TLS_AUTHENTICATED, SP_E_STS_NONE},
        {"careful: a drop of 3 h goes on", &careful, 3 * HOUR, DROPPED, SP_LEVEL_ENCRYPTED,
         SP_LEVEL_AUTHENTICATED, TAKE, SP_RUNG_PORTAL, 0},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_standing s = begin(cases[i].ladder, cases[i].since);
        struct sp_hop_report r = shows(cases[i].level);
        struct sp_next next;

        if (cases[i].kind == SILENT)
            r = silent(SP_E_HOP_UNREACHABLE);
        else if (cases[i].kind == BROKEN)
            r = broken();
        else if (cases[i].kind == DROPPED)
            r = dropped_from(cases[i].before, cases[i].level);
        sp_outcome_keys(&s, SP_E_KEYS_NONE, SP_E_KEYS_NONE);
        sp_outcome_hop(&s, &r);
        sp_outcome_next(&s, &next);
        ck_assert_msg(next.step == cases[i].step, "%s: step %d", cases[i].name, next.step);
        if (next.step == TAKE || next.step == WAIT)
            ck_assert_msg(s.ladder->rungs[next.index].rung == cases[i].rung, "%s: rung %s",
                          cases[i].name, sp_rung_name(s.ladder->rungs[next.index].rung));
        ck_assert_msg(next.why == cases[i].why, "%s: why %s", cases[i].name, sp_rc_name(next.why));
        ck_assert_msg(next.alert == (cases[i].kind == DROPPED), "%s: alert", cases[i].name);
    }
}
END_TEST

START_TEST(keys_come_first_and_their_error_is_not_their_absence)
{
    struct sp_standing s = begin(&careful, 0);
    struct sp_hop_report r = shows(SP_LEVEL_ENCRYPTED);
    struct sp_next next;

    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_KEYS);
    sp_outcome_keys(&s, SP_OK, SP_E_KEYS_NONE);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_HOP);
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_TAKE);
    ck_assert_int_eq(careful.rungs[next.index].rung, SP_RUNG_SMIME);

    sp_outcome_rung_failed(&s, next.index, SP_E_ROLE_GONE); /* the sealer is dead */
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    ck_assert_int_eq(next.why, SP_E_ROLE_GONE);

    s = begin(&careful, 0); /* the keeper is dead */
    sp_outcome_keys(&s, SP_E_ROLE_GONE, SP_E_ROLE_GONE);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    ck_assert_int_eq(careful.rungs[next.index].rung, SP_RUNG_SMIME);
}
END_TEST

START_TEST(a_sealed_copy_goes_over_any_road_but_a_broken_one)
{
    struct sp_standing s = begin(&careful, 0);
    struct sp_hop_report r = broken();
    struct sp_next next;

    sp_outcome_keys(&s, SP_OK, SP_OK);
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    ck_assert(next.late);
    sp_outcome_forget_hops(&s);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_HOP);
    r = shows(SP_LEVEL_PLAIN);
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_TAKE);
}
END_TEST

START_TEST(the_next_host_is_asked_but_a_weaker_one_wins_nothing)
{
    struct sp_standing s = begin(&everyday, 0);
    struct sp_hop_report r = broken();
    struct sp_next next;

    sp_outcome_hop(&s, &r);
    ck_assert(!sp_outcome_hop_will_do(&s, 0));
    r = shows(SP_LEVEL_ENCRYPTED);
    r.hop = 1;
    sp_outcome_hop(&s, &r);
    ck_assert(!sp_outcome_hop_will_do(&s, 1)); /* host 0's promise stands */
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    r = shows(SP_LEVEL_DANE);
    r.hop = 2;
    sp_outcome_hop(&s, &r);
    ck_assert(sp_outcome_hop_will_do(&s, 2));

    s = begin(&everyday, 0);
    r = silent(SP_E_HOP_UNREACHABLE);
    sp_outcome_hop(&s, &r);
    r = shows(SP_LEVEL_VERIFIED);
    r.hop = 1;
    sp_outcome_hop(&s, &r);
    ck_assert(sp_outcome_hop_will_do(&s, 1));
}
END_TEST

START_TEST(in_the_clear_nothing_goes_before_all_were_asked)
{
    struct sp_standing s = begin(&chosen_plain, 0);
    struct sp_hop_report r = shows(SP_LEVEL_PLAIN);
    struct sp_next next;

    sp_outcome_hop(&s, &r);
    ck_assert(sp_outcome_hop_will_do(&s, 0) && sp_outcome_hop_is_bare(&s, 0));
    r = shows(SP_LEVEL_ENCRYPTED);
    r.hop = 1;
    sp_outcome_hop(&s, &r);
    ck_assert(sp_outcome_hop_will_do(&s, 1) && !sp_outcome_hop_is_bare(&s, 1));
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(chosen_plain.rungs[next.index].rung, SP_RUNG_TLS_ENCRYPTED);
}
END_TEST

/* No rung stands between: what is plain by the ladder need not be so on the wire. */
START_TEST(a_connection_with_tls_is_not_bare_whatever_the_rung)
{
    static const struct sp_ladder dane_or_plain = {
        .rungs = {{SP_RUNG_TLS_DANE, -1, 4 * HOUR}, {SP_RUNG_PLAIN, -1, 4 * HOUR}},
        .count = 2,
        .floor = SP_FLOOR_PLAIN,
    };
    static const enum sp_level levels[] = {SP_LEVEL_PLAIN, SP_LEVEL_ENCRYPTED, SP_LEVEL_VERIFIED};

    for (size_t i = 0; i < SP_ARRAY_LEN(levels); i++) {
        struct sp_standing s = begin(&dane_or_plain, 0);
        struct sp_hop_report bare = shows(SP_LEVEL_PLAIN), other = shows(levels[i]);
        struct sp_hop_report fails = shows(SP_LEVEL_PLAIN);
        bool is_bare = levels[i] == SP_LEVEL_PLAIN;
        struct sp_next next;

        sp_outcome_hop(&s, &bare);
        ck_assert(sp_outcome_hop_is_bare(&s, 0));
        fails.hop = 2;
        fails.anew = true;
        sp_outcome_hop(&s, &fails);
        other.hop = 1;
        sp_outcome_hop(&s, &other);
        ck_assert_msg(sp_outcome_hop_will_do(&s, 1) == !is_bare, "case %zu", i);
        ck_assert_msg(!sp_outcome_hop_is_bare(&s, 1), "case %zu", i);
        sp_outcome_next(&s, &next);
        ck_assert(next.step == SP_STEP_TAKE && next.index == 1);
        ck_assert_uint_eq(s.rungs[1].hop, is_bare ? 0 : 1);
    }
}
END_TEST

START_TEST(a_silent_host_is_waited_for_until_its_stay_is_over_or_another_will_do)
{
    static const struct sp_ladder soon_plain = {
        .rungs = {{SP_RUNG_TLS_ENCRYPTED, HOUR, HOUR}, {SP_RUNG_PLAIN, -1, HOUR}},
        .count = 2,
        .floor = SP_FLOOR_PLAIN,
    };
    struct sp_hop_report dead = silent(SP_E_HOP_UNREACHABLE), alive = shows(SP_LEVEL_PLAIN);
    struct sp_standing s = begin(&soon_plain, 0);
    struct sp_next next;

    ck_assert(sp_outcome_waits_for(&s, &dead));
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_HOP); /* it was a question, and is none the wiser */
    s = begin(&soon_plain, 2 * HOUR);
    ck_assert(!sp_outcome_waits_for(&s, &dead)); /* though plain is waited for, too */
    s = begin(&soon_plain, 0);
    alive.hop = 1;
    sp_outcome_hop(&s, &alive);
    ck_assert(sp_outcome_waits_for(&s, &dead));
    s = begin(&soon_plain, 2 * HOUR);
    sp_outcome_hop(&s, &alive);
    ck_assert(!sp_outcome_waits_for(&s, &dead));
    s = begin(&everyday, 0);
    ck_assert(sp_outcome_waits_for(&s, &dead));
}
END_TEST

START_TEST(a_dead_host_holds_up_only_what_the_domain_has_proved)
{
    static const struct {
        bool has_before;
        enum sp_level before;
        enum sp_level shows;
        enum sp_step step;
        enum sp_rung rung;
    } cases[] = {
        {true, SP_LEVEL_ENCRYPTED, SP_LEVEL_ENCRYPTED, SP_STEP_TAKE, SP_RUNG_TLS_ENCRYPTED},
        {true, SP_LEVEL_VERIFIED, SP_LEVEL_ENCRYPTED, SP_STEP_WAIT, SP_RUNG_TLS_VERIFIED},
        {false, SP_LEVEL_PLAIN, SP_LEVEL_ENCRYPTED, SP_STEP_WAIT, SP_RUNG_TLS_VERIFIED},
        {true, SP_LEVEL_ENCRYPTED, SP_LEVEL_PLAIN, SP_STEP_WAIT, SP_RUNG_TLS_ENCRYPTED},
        {true, SP_LEVEL_VERIFIED, SP_LEVEL_VERIFIED, SP_STEP_TAKE, SP_RUNG_TLS_VERIFIED},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases) * 2; i++) { /* the dead one first, and last */
        size_t k = i / 2;
        struct sp_standing s = begin(&everyday, 0);
        struct sp_hop_report dead = silent(SP_E_HOP_UNREACHABLE);
        struct sp_hop_report alive = shows(cases[k].shows);
        struct sp_next next;

        dead.has_before = alive.has_before = cases[k].has_before;
        dead.before = alive.before = cases[k].before;
        alive.hop = 1 - i % 2;
        dead.hop = i % 2;
        sp_outcome_hop(&s, i % 2 == 0 ? &dead : &alive);
        sp_outcome_hop(&s, i % 2 == 0 ? &alive : &dead);
        sp_outcome_next(&s, &next);
        ck_assert_msg(next.step == cases[k].step, "case %zu: step %d", k, next.step);
        ck_assert_msg(everyday.rungs[next.index].rung == cases[k].rung, "case %zu: %s", k,
                      sp_rung_name(everyday.rungs[next.index].rung));
    }
}
END_TEST

START_TEST(a_host_that_we_leave_alone_ourselves_is_waited_for)
{
    for (size_t i = 0; i < 2; i++) { /* the paused one first, and last */
        struct sp_standing s = begin(&everyday, 0);
        struct sp_hop_report paused = silent(SP_E_HOP_PAUSED);
        struct sp_hop_report alive = shows(SP_LEVEL_ENCRYPTED);
        struct sp_next next;

        paused.has_before = alive.has_before = true;
        paused.before = alive.before = SP_LEVEL_ENCRYPTED;
        paused.dane_why = SP_OK; /* it publishes what nobody has seen proved yet */
        alive.hop = 1 - i;
        paused.hop = i;
        sp_outcome_hop(&s, i == 0 ? &paused : &alive);
        sp_outcome_hop(&s, i == 0 ? &alive : &paused);
        sp_outcome_next(&s, &next);
        ck_assert_int_eq(next.step, SP_STEP_WAIT);
        ck_assert_int_eq(everyday.rungs[next.index].rung, SP_RUNG_TLS_DANE);
        ck_assert_int_eq(next.why, SP_E_HOP_PAUSED);
    }
}
END_TEST

START_TEST(what_the_bytes_need_costs_the_rung)
{
    struct sp_standing s = begin(&everyday, 0);
    struct sp_hop_report r = shows(SP_LEVEL_DANE);
    struct sp_next next;

    r.lacks = SP_E_HOP_LACKS;
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(everyday.rungs[next.index].rung, SP_RUNG_PORTAL);
}
END_TEST

/* What one rung was told by the host, the next one would be told, too: none is tried there in its place, at the end of its time least. */
START_TEST(a_host_that_puts_mail_off_is_silent_to_it)
{
    static const int64_t since[] = {0, EXPIRE};

    for (size_t i = 0; i < SP_ARRAY_LEN(since); i++) {
        struct sp_standing s = begin(&chosen_plain, since[i]);
        struct sp_hop_report r = shows(SP_LEVEL_ENCRYPTED);
        struct sp_next next;

        sp_outcome_hop(&s, &r);
        sp_outcome_next(&s, &next);
        ck_assert_int_eq(next.step, SP_STEP_TAKE);
        sp_outcome_put_off(&s, SP_E_HOP_DEFERRED);
        sp_outcome_next(&s, &next);
        ck_assert_int_eq(next.step, since[i] == 0 ? SP_STEP_WAIT : SP_STEP_RETURN);
        ck_assert_int_eq(next.why, SP_E_HOP_DEFERRED);
    }
}
END_TEST

/* It has talked: what it has, mail waits for; what it has not, another host need not have either. */
START_TEST(who_put_mail_off_has_shown_what_it_has)
{
    static const enum sp_level levels[] = {SP_LEVEL_PLAIN, SP_LEVEL_ENCRYPTED};

    for (size_t i = 0; i < SP_ARRAY_LEN(levels); i++) {
        struct sp_standing s = begin(&chosen_plain, 0);
        struct sp_hop_report full = shows(levels[i]), other = shows(SP_LEVEL_PLAIN);
        bool is_bare = levels[i] == SP_LEVEL_PLAIN;
        struct sp_next next;

        full.rc = SP_E_HOP_DEFERRED;
        full.has_shown = true;
        other.hop = 1;
        sp_outcome_hop(&s, &full);
        sp_outcome_next(&s, &next);
        ck_assert_int_eq(next.step, SP_STEP_WAIT);
        sp_outcome_hop(&s, &other);
        ck_assert(sp_outcome_hop_will_do(&s, 1) == is_bare);
        sp_outcome_next(&s, &next);
        ck_assert_int_eq(next.step, is_bare ? SP_STEP_TAKE : SP_STEP_WAIT);
    }
}
END_TEST

/* What the domain has proved, and this host has not shown, is dropped as it was when it talked. */
START_TEST(a_drop_is_none_the_less_for_mail_put_off)
{
    struct sp_standing s = begin(&chosen_plain, 0);
    struct sp_hop_report r = dropped_from(SP_LEVEL_ENCRYPTED, SP_LEVEL_PLAIN);
    struct sp_next next;

    r.rc = SP_E_HOP_DEFERRED;
    r.has_shown = true;
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    ck_assert(next.alert);
}
END_TEST

START_TEST(who_silences_one_host_does_not_shorten_what_another_has_dropped)
{
    static const struct sp_ladder impatient = {
        .rungs = {{SP_RUNG_TLS_ENCRYPTED, 0, 4 * HOUR}, {SP_RUNG_PLAIN, -1, 4 * HOUR}},
        .count = 2,
        .floor = SP_FLOOR_PLAIN,
    };
    static const int64_t since[] = {0, 3 * HOUR, 5 * HOUR};

    for (size_t i = 0; i < SP_ARRAY_LEN(since) * 2; i++) { /* the silent one last, and first */
        int64_t since_ms = since[i / 2];
        struct sp_standing s = begin(&impatient, since_ms);
        struct sp_hop_report stripped = dropped_from(SP_LEVEL_ENCRYPTED, SP_LEVEL_PLAIN);
        struct sp_hop_report dead = dropped_from(SP_LEVEL_ENCRYPTED, SP_LEVEL_PLAIN);
        struct sp_next next;
        enum sp_rc why;

        dead.rc = SP_E_HOP_UNREACHABLE;
        dead.hop = 1;
        sp_outcome_hop(&s, i % 2 == 0 ? &stripped : &dead);
        sp_outcome_hop(&s, i % 2 == 0 ? &dead : &stripped);
        sp_outcome_next(&s, &next);
        ck_assert_msg(next.alert, "case %zu", i);
        ck_assert_int_eq(sp_outcome_rung_cause(&s, 0, &why), SP_STATUS_DROPPED);
        ck_assert_int_eq(why, SP_E_TLS_ABSENT); /* not the silence of the other */
        if (since_ms < 4 * HOUR) {
            ck_assert_int_eq(next.why, SP_E_TLS_ABSENT);
            ck_assert_msg(next.step == SP_STEP_WAIT && next.wait_until_ms == 4 * HOUR, "case %zu",
                          i);
            continue;
        }
        ck_assert_msg(next.step == SP_STEP_TAKE, "case %zu", i);
        ck_assert_int_eq(impatient.rungs[next.index].rung, SP_RUNG_PLAIN);
    }
}
END_TEST

/* One host has dropped it. Another has it still, and puts the mail off for this attempt, or is not found any more. */
START_TEST(a_drop_stands_when_no_host_is_asked_any_more)
{
    static const struct sp_ladder careful_portal = {
        .rungs = {{SP_RUNG_TLS_ENCRYPTED, HOUR, 4 * HOUR}, {SP_RUNG_PORTAL, -1, 0}},
        .count = 2,
        .floor = SP_FLOOR_TLS_ENCRYPTED,
    };
    struct sp_hop_report stripped = dropped_from(SP_LEVEL_ENCRYPTED, SP_LEVEL_PLAIN);
    struct sp_hop_report has_it = dropped_from(SP_LEVEL_ENCRYPTED, SP_LEVEL_ENCRYPTED);

    has_it.hop = 1;
    for (size_t i = 0; i < 4; i++) {
        struct sp_standing s = begin(&careful_portal, i < 2 ? 2 * HOUR : 5 * HOUR);
        struct sp_next next;

        sp_outcome_hop(&s, &stripped);
        sp_outcome_hop(&s, &has_it);
        ck_assert(sp_outcome_hop_will_do(&s, 1));
        if (i % 2 == 0)
            sp_outcome_put_off(&s, SP_E_HOP_DEFERRED);
        else
            sp_outcome_route_failed(&s, SP_E_DNS_SERVFAIL);
        sp_outcome_next(&s, &next);
        if (i < 2)
            ck_assert_msg(next.step == SP_STEP_WAIT && next.wait_until_ms == 4 * HOUR &&
                              next.why == SP_E_TLS_ABSENT,
                          "case %zu", i);
        else
            ck_assert_msg(next.step == SP_STEP_TAKE && next.index == 1, "case %zu", i);
    }
}
END_TEST

START_TEST(who_gives_up_on_a_dropped_rung_says_so)
{
    static const struct sp_ladder demanding = {
        .rungs = {{SP_RUNG_TLS_VERIFIED, 0, 4 * HOUR}},
        .count = 1,
        .floor = SP_FLOOR_TLS_VERIFIED,
    };
    struct sp_standing s = begin(&demanding, 5 * HOUR);
    struct sp_hop_report stripped = dropped_from(SP_LEVEL_VERIFIED, SP_LEVEL_ENCRYPTED);
    struct sp_hop_report dead = dropped_from(SP_LEVEL_VERIFIED, SP_LEVEL_PLAIN);
    struct sp_next next;

    dead.rc = SP_E_HOP_UNREACHABLE;
    dead.hop = 1;
    sp_outcome_hop(&s, &stripped);
    sp_outcome_hop(&s, &dead);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_RETURN);
    ck_assert_int_eq(next.why, SP_E_TLS_UNTRUSTED);
}
END_TEST

/* Of hosts that are asked no more, a rung that nobody has looked at is no more possible than the others. */
START_TEST(what_nobody_has_looked_at_is_put_off_with_the_rest)
{
    static const struct sp_ladder both = {
        .rungs = {{SP_RUNG_TLS_AUTHENTICATED, -1, 0},
                  {SP_RUNG_SMIME, -1, 0},
                  {SP_RUNG_PLAIN, -1, 0}},
        .count = 3,
        .floor = SP_FLOOR_PLAIN,
    };
    struct sp_standing s = begin(&both, 0);
    struct sp_hop_report r = shows(SP_LEVEL_ENCRYPTED);
    struct sp_next next;

    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_KEYS);
    sp_outcome_keys(&s, SP_OK, SP_E_KEYS_NONE);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_HOP);
    sp_outcome_put_off(&s, SP_E_HOP_DEFERRED);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    ck_assert_int_eq(both.rungs[next.index].rung, SP_RUNG_SMIME);
    ck_assert_int_eq(next.why, SP_E_HOP_DEFERRED);
    ck_assert_int_eq(s.rungs[0].why, SP_E_STS_NONE); /* what was known of the others stands */
}
END_TEST

/* It takes no 8-bit bytes, so it is not waited for with a rung of TLS when it has put the sealed copy off. */
START_TEST(what_a_host_lacks_it_lacks_when_it_has_put_mail_off)
{
    struct sp_standing s = begin(&chosen_plain, 0);
    struct sp_hop_report r = shows(SP_LEVEL_ENCRYPTED);

    r.rc = SP_E_HOP_DEFERRED;
    r.has_shown = true;
    r.lacks = SP_E_HOP_LACKS;
    sp_outcome_hop(&s, &r);
    ck_assert_int_eq(s.rungs[0].status, SP_STATUS_UNAVAILABLE);
    ck_assert_int_eq(s.rungs[0].why, SP_E_HOP_LACKS);
}
END_TEST

START_TEST(what_came_to_nothing_is_not_possible_again_by_another_look)
{
    struct sp_standing s = begin(&careful, 0);
    struct sp_hop_report r = shows(SP_LEVEL_AUTHENTICATED);
    struct sp_next next;
    size_t sealed;

    sp_outcome_keys(&s, SP_OK, SP_E_KEYS_NONE);
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    sealed = next.index;
    ck_assert_int_eq(careful.rungs[sealed].rung, SP_RUNG_SMIME);
    sp_outcome_rung_failed(&s, sealed, SP_E_KEYS_UNUSABLE);
    sp_outcome_forget_hops(&s);
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_TAKE);
    ck_assert_uint_ne(next.index, sealed);
    sp_outcome_route_failed(&s, SP_E_DNS_TIMEOUT);
    ck_assert_int_eq(s.rungs[sealed].why, SP_E_KEYS_UNUSABLE);
}
END_TEST

START_TEST(who_talks_is_better_than_who_has_to_be_asked_without_tls)
{
    static const struct sp_ladder open = {.rungs = {{SP_RUNG_PLAIN, -1, 0}}, .count = 1};
    static const struct sp_ladder sealed = {.rungs = {{SP_RUNG_SMIME, -1, 0}}, .count = 1};
    const struct sp_ladder *ladders[] = {&open, &sealed};
    struct sp_hop_report breaks = shows(SP_LEVEL_PLAIN);

    breaks.anew = true;
    breaks.verdict.tls_why = SP_E_TLS_HANDSHAKE;
    for (size_t i = 0; i < SP_ARRAY_LEN(ladders); i++)
        for (size_t first = 0; first < 2; first++) { /* whoever is asked first */
            struct sp_standing s = begin(ladders[i], 0);
            struct sp_hop_report talks = shows(SP_LEVEL_VERIFIED);

            talks.hop = 1;
            sp_outcome_keys(&s, SP_OK, SP_E_KEYS_NONE);
            sp_outcome_hop(&s, first == 0 ? &breaks : &talks);
            ck_assert(sp_outcome_hop_will_do(&s, first));
            sp_outcome_hop(&s, first == 0 ? &talks : &breaks);
            ck_assert(sp_outcome_hop_will_do(&s, 1));
        }
}
END_TEST

START_TEST(whose_trouble_it_is)
{
    static const struct {
        enum sp_smtp_rcpt_state state;
        bool is_own;
        int code;
        struct sp_status status;
        bool expected;
    } rows[] = {
        {SP_SMTP_RCPT_DEFERRED, false, 0, {0, 0, 0}, true},    /* lost before the dot */
        {SP_SMTP_RCPT_UNSENT, false, 0, {0, 0, 0}, true},      /* the same */
        {SP_SMTP_RCPT_UNSURE, false, 0, {0, 0, 0}, false},     /* behind it */
        {SP_SMTP_RCPT_UNSURE, false, 451, {4, 3, 0}, false},   /* the same, with a word */
        {SP_SMTP_RCPT_DEFERRED, false, 452, {4, 3, 1}, true},  /* MAIL: no room */
        {SP_SMTP_RCPT_DEFERRED, false, 451, {4, 0, 0}, true},  /* no status given */
        {SP_SMTP_RCPT_DEFERRED, false, 451, {4, 7, 0}, false}, /* slower, please */
        {SP_SMTP_RCPT_DEFERRED, false, 452, {4, 2, 2}, false}, /* the mailbox, though said of all */
        {SP_SMTP_RCPT_DEFERRED, true, 451, {4, 3, 0}, true},   /* its tables can't be read */
        {SP_SMTP_RCPT_DEFERRED, true, 451, {4, 4, 3}, true},   /* its resolver */
        {SP_SMTP_RCPT_DEFERRED, true, 450, {4, 2, 1}, false},  /* the mailbox */
        {SP_SMTP_RCPT_DEFERRED, true, 450, {4, 0, 0}, false},  /* a grey list, mostly */
        {SP_SMTP_RCPT_DEFERRED, true, 451, {4, 7, 1}, false},  /* a grey list */
        {SP_SMTP_RCPT_DEFERRED, true, 452, {4, 5, 3}, false},  /* too many in one transaction */
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct sp_smtp_rcpt_result r = {.state = rows[i].state, .is_own = rows[i].is_own};

        r.reply.code = rows[i].code;
        r.reply.status = rows[i].status;
        ck_assert_msg(sp_outcome_is_hosts_own(&r) == rows[i].expected, "row %zu", i);
    }
}
END_TEST

START_TEST(who_wants_tls_says_so)
{
    static const struct {
        enum sp_smtp_rcpt_state state;
        int code;
        struct sp_status status;
        bool expected;
    } rows[] = {
        {SP_SMTP_RCPT_REFUSED, 530, {5, 7, 0}, true},
        {SP_SMTP_RCPT_REFUSED, 530, {0, 0, 0}, true},
        {SP_SMTP_RCPT_REFUSED, 550, {5, 7, 10}, true},
        {SP_SMTP_RCPT_REFUSED, 550, {5, 7, 1}, false},
        {SP_SMTP_RCPT_REFUSED, 550, {5, 1, 10}, false},
        {SP_SMTP_RCPT_DEFERRED, 451, {4, 7, 10}, false}, /* put off as it is */
        {SP_SMTP_RCPT_ACCEPTED, 250, {2, 1, 5}, false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct sp_smtp_rcpt_result r = {.state = rows[i].state};

        r.reply.code = rows[i].code;
        r.reply.status = rows[i].status;
        ck_assert_msg(sp_outcome_wants_tls(&r) == rows[i].expected, "row %zu", i);
    }
}
END_TEST

START_TEST(what_only_smtputf8_carries_costs_every_rung_of_smtp)
{
    struct sp_standing s = begin(&everyday, 0);
    struct sp_hop_report r = shows(SP_LEVEL_DANE);
    struct sp_next next;

    r.lacks_utf8 = true;
    sp_outcome_hop(&s, &r);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(everyday.rungs[next.index].rung, SP_RUNG_PORTAL);
    for (size_t i = 0; i < everyday.count; i++)
        ck_assert(!s.rungs[i].known || s.rungs[i].status != SP_STATUS_POSSIBLE ||
                  everyday.rungs[i].rung == SP_RUNG_PORTAL);
}
END_TEST

START_TEST(the_domain_s_own_state)
{
    struct sp_standing s = begin(&everyday, 0);
    struct sp_next next;

    sp_outcome_route_failed(&s, SP_E_DNS_BOGUS);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_WAIT);
    ck_assert_int_eq(next.why, SP_E_DNS_BOGUS);
    sp_outcome_route_failed(&s, SP_E_DNS_NULL_MX);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_RETURN);
    ck_assert_int_eq(next.why, SP_E_DNS_NULL_MX);
}
END_TEST

START_TEST(without_a_portal_its_rung_is_not_there)
{
    struct sp_standing s = {.ladder = &careful, .floor = SP_FLOOR_SEALED, .expire_ms = EXPIRE};
    struct sp_next next;

    sp_outcome_begin(&s);
    sp_outcome_keys(&s, SP_E_KEYS_NONE, SP_E_KEYS_EXPIRED);
    sp_outcome_next(&s, &next);
    ck_assert_int_eq(next.step, SP_STEP_RETURN);
    ck_assert_int_eq(next.why, SP_E_PORTAL_ABSENT);
}
END_TEST

/* Whatever is reported in whatever order: no rung below the floor, none that was not shown to hold, is ever taken. */
START_TEST(nothing_is_ever_taken_below_the_floor)
{
    static const struct sp_ladder *const ladders[] = {&everyday, &careful, &chosen_plain,
                                                      &tls_only};
    struct fake_random random;

    fake_random_init(&random, 7);
    for (int round = 0; round < 200000; round++) {
        const struct sp_random *rnd = &random.random;
        struct sp_standing s = begin(ladders[sp_random_below(rnd, 4)],
                                     (int64_t)sp_random_below(rnd, (uint64_t)EXPIRE + 1));
        enum sp_level best = SP_LEVEL_PLAIN;
        bool any = false;
        struct sp_next next;

        s.floor = (enum sp_floor)sp_random_below(rnd, SP_FLOOR_COUNT);
        if (sp_random_below(rnd, 2) == 0)
            sp_outcome_keys(&s, SP_E_KEYS_NONE, SP_E_ROLE_GONE);
        for (uint64_t i = sp_random_below(rnd, 4); i > 0; i--) {
            enum sp_level level = (enum sp_level)sp_random_below(rnd, 5);
            struct sp_hop_report r = shows(level);

            r.hop = i;
            if (sp_random_below(rnd, 4) == 0) {
                r = silent(SP_E_TIMEOUT);
            } else if (sp_random_below(rnd, 4) == 0) {
                r = broken();
            } else {
                any = true;
                best = level > best ? level : best;
            }
            sp_outcome_hop(&s, &r);
        }
        sp_outcome_next(&s, &next);
        if (next.step != SP_STEP_TAKE)
            continue;
        ck_assert(sp_rung_meets(s.ladder->rungs[next.index].rung, s.floor, false));
        if (s.ladder->rungs[next.index].rung <= SP_RUNG_TLS_DANE)
            ck_assert(any && (unsigned)s.ladder->rungs[next.index].rung <= (unsigned)best);
        else
            ck_assert_int_eq(s.ladder->rungs[next.index].rung, SP_RUNG_PORTAL);
    }
}
END_TEST

START_TEST(replies_have_their_fate)
{
    static const struct {
        enum sp_smtp_rcpt_state state;
        int code;
        enum sp_fate fate;
        enum sp_rc why;
    } cases[] = {
        {SP_SMTP_RCPT_ACCEPTED, 250, SP_FATE_DELIVERED, SP_OK},
        {SP_SMTP_RCPT_REFUSED, 550, SP_FATE_REFUSED, SP_E_HOP_REFUSED},
        {SP_SMTP_RCPT_DEFERRED, 451, SP_FATE_AGAIN, SP_E_HOP_DEFERRED},
        {SP_SMTP_RCPT_DEFERRED, 0, SP_FATE_AGAIN, SP_E_HOP_LOST},
        {SP_SMTP_RCPT_UNSENT, 0, SP_FATE_AGAIN, SP_E_HOP_LOST},
        {SP_SMTP_RCPT_UNSURE, 0, SP_FATE_AGAIN, SP_E_HOP_LOST},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_smtp_rcpt_result r = {.state = cases[i].state};
        enum sp_rc why;

        r.reply.code = cases[i].code;
        ck_assert_msg(sp_outcome_rcpt(&r, &why) == cases[i].fate, "case %zu", i);
        ck_assert_msg(why == cases[i].why, "case %zu", i);
    }
}
END_TEST

START_TEST(retries_double_and_never_pass_the_end_of_a_stay)
{
    struct sp_retry r = {.now_ms = 0,
                         .first_ms = 60000,
                         .max_ms = 3600000,
                         .attempts = 1,
                         .stay_end_ms = EXPIRE,
                         .noise = 100};

    ck_assert_int_eq(sp_outcome_retry_at(&r), 60000);
    r.attempts = 3;
    ck_assert_int_eq(sp_outcome_retry_at(&r), 240000);
    r.attempts = 60;
    ck_assert_int_eq(sp_outcome_retry_at(&r), 3600000);
    r.noise = 0;
    ck_assert_int_eq(sp_outcome_retry_at(&r), 3240000);
    r.stay_end_ms = 5000;
    ck_assert_int_eq(sp_outcome_retry_at(&r), 5000);
    r.now_ms = 6000; /* it ended while the host was slow: what follows it is not to wait */
    ck_assert_int_eq(sp_outcome_retry_at(&r), 6000);
}
END_TEST

START_TEST(each_kind_of_failure_has_its_time)
{
    static const struct sp_retry_class own[] = {{"4.7", 111, 0, 0},
                                                {"4.7.1", 222, 2220, 9 * HOUR},
                                                {"421", 333, 0, 0},
                                                {"hop.unreachable", 444, 0, 5 * HOUR}};
    static const struct {
        struct sp_retry_cause cause;
        int64_t first_ms;
        int64_t expire_ms;
    } cases[] = {
        {{SP_E_HOP_DEFERRED, 451, {4, 7, 1}}, 222, 9 * HOUR}, /* the closest */
        {{SP_E_HOP_DEFERRED, 451, {4, 7, 10}}, 111, 0},       /* not 4.7.1 */
        {{SP_E_HOP_DEFERRED, 451, {4, 70, 0}}, 0, 0},         /* not 4.7 */
        {{SP_E_HOP_DEFERRED, 421, {4, 3, 2}}, 333, 0},
        {{SP_E_HOP_DEFERRED, 421, {4, 7, 0}}, 111, 0},
        {{SP_E_HOP_UNREACHABLE, 0, {0}}, 444, 5 * HOUR},
        {{SP_E_HOP_DEFERRED, 452, {4, 2, 2}}, 6000, 0}, /* built in */
        {{SP_E_ROLE_GONE, 0, {0}}, 100, 0},
        {{SP_E_HOP_DEFERRED, 450, {4, 2, 0}}, 0, 0}, /* as usual: greylisting */
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_retry_class c;

        sp_outcome_retry_class(own, SP_ARRAY_LEN(own), &cases[i].cause, 1000, &c);
        ck_assert_msg(c.first_ms == cases[i].first_ms && c.expire_ms == cases[i].expire_ms,
                      "case %zu: %s", i, c.match);
    }
}
END_TEST

START_TEST(a_class_may_end_earlier_and_opens_no_lower_rung)
{
    static const struct sp_retry_class class = {.match = "", .expire_ms = 5 * HOUR};
    static const struct sp_ladder *const ladders[] = {&chosen_plain, &tls_only, &everyday};
    static const enum sp_step steps[] = {SP_STEP_RETURN, SP_STEP_HOLD, SP_STEP_TAKE};

    for (size_t i = 0; i < SP_ARRAY_LEN(ladders); i++) {
        struct sp_standing s = begin(ladders[i], 4 * HOUR);
        struct sp_hop_report r = silent(SP_E_HOP_UNREACHABLE);
        struct sp_next next;

        sp_outcome_hop(&s, &r);
        ck_assert(!sp_outcome_expires_early(&s, &class));
        s = begin(ladders[i], 5 * HOUR);
        sp_outcome_hop(&s, &r);
        sp_outcome_next(&s, &next);
        ck_assert_int_eq(next.step, SP_STEP_WAIT);
        ck_assert(sp_outcome_expires_early(&s, &class));
        sp_outcome_next(&s, &next);
        ck_assert_int_eq(next.step, steps[i]);
        if (next.step == SP_STEP_TAKE)
            ck_assert_int_eq(ladders[i]->rungs[next.index].rung, SP_RUNG_PORTAL);
        else
            ck_assert(next.expired);
    }
}
END_TEST

START_TEST(who_hears_of_a_failure)
{
    static const struct {
        struct sp_giving_up g;
        bool tells;
    } cases[] = {
        {{false, false, 0}, true},
        {{false, false, SP_NOTIFY_FAILURE}, true},
        {{false, false, SP_NOTIFY_NEVER}, false},
        {{false, false, SP_NOTIFY_SUCCESS}, false},
        {{false, true, 0}, false},
        {{true, false, 0}, false},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_assert_msg(sp_outcome_tells_sender(&cases[i].g) == cases[i].tells, "case %zu", i);
    ck_assert_int_eq(sp_outcome_dsn_floor(SP_FLOOR_SEALED), SP_FLOOR_TLS_ENCRYPTED);
    ck_assert_int_eq(sp_outcome_dsn_floor(SP_FLOOR_PLAIN), SP_FLOOR_PLAIN);
}
END_TEST

START_TEST(who_hears_of_a_delay)
{
    static const struct {
        const char *name;
        struct sp_waiting w;
        bool tells;
    } cases[] = {
        {"young", {.since_accept_ms = HOUR, .delay_ms = 4 * HOUR, .attempts = 3}, false},
        {"old", {.since_accept_ms = 4 * HOUR, .delay_ms = 4 * HOUR}, true},
        {"old, switched off", {.since_accept_ms = 40 * HOUR, .delay_ms = 0}, false},
        {"told before", {.told = true, .since_accept_ms = 9 * HOUR, .delay_ms = HOUR}, false},
        {"asked for", {.who.notify = SP_NOTIFY_DELAY, .since_accept_ms = 2, .delay_ms = 1}, true},
        {"not asked for",
         {.who.notify = SP_NOTIFY_FAILURE, .since_accept_ms = 2, .delay_ms = 1},
         false},
        {"never", {.who.notify = SP_NOTIFY_NEVER, .broken = true}, false},
        {"our own mail", {.who.own_mail = true, .since_accept_ms = 2, .delay_ms = 1}, false},
        {"nobody to tell", {.who.null_sender = true, .broken = true}, false},
        {"a broken promise", {.broken = true}, true},
        {"a rule asks, first attempt", {.asked_late = true, .attempts = 1}, false},
        {"a rule asks, second attempt", {.asked_late = true, .attempts = 2}, true},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++)
        ck_assert_msg(sp_outcome_tells_delay(&cases[i].w) == cases[i].tells, "%s", cases[i].name);
}
END_TEST

START_TEST(only_what_does_not_exist_is_left_alone)
{
    static const struct {
        int code;
        struct sp_status status;
        bool suppresses;
    } cases[] = {
        {550, {5, 1, 1}, true},  {550, {5, 1, 10}, true}, {553, {5, 1, 3}, true},
        {550, {5, 2, 1}, true},  {550, {5, 7, 1}, false}, {552, {5, 2, 2}, false},
        {550, {5, 0, 0}, false}, {554, {5, 1, 1}, false}, {450, {4, 1, 1}, false},
        {550, {4, 1, 1}, false}, {550, {5, 1, 2}, false}, /* a domain: the next look-up may know better */
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        struct sp_smtp_reply reply = {.code = cases[i].code, .status = cases[i].status};

        ck_assert_msg(sp_outcome_suppresses(&reply) == cases[i].suppresses, "case %zu", i);
    }
}
END_TEST

START_TEST(who_hears_of_success)
{
    struct sp_giving_up who = {.notify = SP_NOTIFY_SUCCESS | SP_NOTIFY_FAILURE};

    ck_assert(sp_outcome_tells_success(&who, false));
    ck_assert(!sp_outcome_tells_success(&who, true)); /* the next hop will say so */
    who.notify = SP_NOTIFY_FAILURE;
    ck_assert(!sp_outcome_tells_success(&who, false));
    who = (struct sp_giving_up){.notify = SP_NOTIFY_SUCCESS, .null_sender = true};
    ck_assert(!sp_outcome_tells_success(&who, false));
    who = (struct sp_giving_up){.notify = SP_NOTIFY_SUCCESS, .own_mail = true};
    ck_assert(!sp_outcome_tells_success(&who, false));
}
END_TEST

START_TEST(a_dsn_that_fails_takes_back_only_whom_it_tells_of)
{
    struct sp_result results[] = {{.n = 4, .state = SP_RCPT_DELIVERED, .smtp = 250},
                                  {.n = 1, .state = SP_RCPT_RETURNED},
                                  {.n = 7, .state = SP_RCPT_DEFERRED, .told = true},
                                  {.n = 2, .state = SP_RCPT_FAILED},
                                  {.n = 9, .state = SP_RCPT_RETURNED}};
    size_t count = SP_ARRAY_LEN(results);
    uint16_t back[SP_ARRAY_LEN(results)];

    ck_assert_uint_eq(sp_outcome_part_told(results, &count, back), 2);
    ck_assert(back[0] == 1 && back[1] == 9);
    ck_assert_uint_eq(count, 3);
    ck_assert(results[0].n == 4 && results[0].smtp == 250);
    ck_assert(results[1].n == 7 && results[2].n == 2);
    ck_assert(!results[1].told);
}
END_TEST

START_TEST(a_turn_is_waited_for_until_there_is_something_else_to_do)
{
    static const struct sp_ladder ladder = {
        .rungs = {{SP_RUNG_TLS_DANE, 3 * HOUR, 0},
                  {SP_RUNG_TLS_ENCRYPTED, 2 * HOUR, 0},
                  {SP_RUNG_PORTAL, -1, 0},
                  {SP_RUNG_PLAIN, 5 * HOUR, 0}},
        .count = 4,
        .floor = SP_FLOOR_PLAIN,
    };
    struct sp_standing s = begin(&ladder, 0);

    ck_assert_int_eq(sp_outcome_own_end(&s), 3 * HOUR); /* the portal */
    s.has_portal = false;
    sp_outcome_begin(&s);
    ck_assert_int_eq(sp_outcome_own_end(&s), 5 * HOUR); /* the sender */
    s.expire_ms = HOUR;
    ck_assert_int_eq(sp_outcome_own_end(&s), HOUR);
    s = begin(&careful, 0);
    ck_assert_int_eq(sp_outcome_own_end(&s), EXPIRE); /* whatever keys there are */
    sp_outcome_keys(&s, SP_E_KEYS_NONE, SP_E_KEYS_NONE);
    ck_assert_int_eq(sp_outcome_own_end(&s), EXPIRE);
    s.ladder = &(const struct sp_ladder){.rungs = {{SP_RUNG_PORTAL, -1, 0}}, .count = 1};
    sp_outcome_begin(&s);
    ck_assert_int_eq(sp_outcome_own_end(&s), 0); /* it needs no host at all */
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_turn_is_waited_for_until_there_is_something_else_to_do);
    tcase_add_test(c, every_cause_on_every_rung);
    tcase_add_test(c, keys_come_first_and_their_error_is_not_their_absence);
    tcase_add_test(c, a_sealed_copy_goes_over_any_road_but_a_broken_one);
    tcase_add_test(c, the_next_host_is_asked_but_a_weaker_one_wins_nothing);
    tcase_add_test(c, in_the_clear_nothing_goes_before_all_were_asked);
    tcase_add_test(c, a_connection_with_tls_is_not_bare_whatever_the_rung);
    tcase_add_test(c, a_silent_host_is_waited_for_until_its_stay_is_over_or_another_will_do);
    tcase_add_test(c, a_dead_host_holds_up_only_what_the_domain_has_proved);
    tcase_add_test(c, a_host_that_we_leave_alone_ourselves_is_waited_for);
    tcase_add_test(c, what_the_bytes_need_costs_the_rung);
    tcase_add_test(c, what_only_smtputf8_carries_costs_every_rung_of_smtp);
    tcase_add_test(c, the_domain_s_own_state);
    tcase_add_test(c, without_a_portal_its_rung_is_not_there);
    tcase_add_test(c, nothing_is_ever_taken_below_the_floor);
    tcase_add_test(c, replies_have_their_fate);
    tcase_add_test(c, retries_double_and_never_pass_the_end_of_a_stay);
    tcase_add_test(c, each_kind_of_failure_has_its_time);
    tcase_add_test(c, a_class_may_end_earlier_and_opens_no_lower_rung);
    tcase_add_test(c, a_host_that_puts_mail_off_is_silent_to_it);
    tcase_add_test(c, who_put_mail_off_has_shown_what_it_has);
    tcase_add_test(c, a_drop_is_none_the_less_for_mail_put_off);
    tcase_add_test(c, who_silences_one_host_does_not_shorten_what_another_has_dropped);
    tcase_add_test(c, who_gives_up_on_a_dropped_rung_says_so);
    tcase_add_test(c, a_drop_stands_when_no_host_is_asked_any_more);
    tcase_add_test(c, what_nobody_has_looked_at_is_put_off_with_the_rest);
    tcase_add_test(c, what_a_host_lacks_it_lacks_when_it_has_put_mail_off);
    tcase_add_test(c, what_came_to_nothing_is_not_possible_again_by_another_look);
    tcase_add_test(c, whose_trouble_it_is);
    tcase_add_test(c, who_wants_tls_says_so);
    tcase_add_test(c, who_talks_is_better_than_who_has_to_be_asked_without_tls);
    tcase_add_test(c, who_hears_of_a_failure);
    tcase_add_test(c, who_hears_of_a_delay);
    tcase_add_test(c, who_hears_of_success);
    tcase_add_test(c, only_what_does_not_exist_is_left_alone);
    tcase_add_test(c, a_dsn_that_fails_takes_back_only_whom_it_tells_of);
}

SP_TEST_MAIN("delivery.outcome", add)
