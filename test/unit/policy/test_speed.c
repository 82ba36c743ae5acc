/*
 * A large policy: 1,000 rules, a list of 100,000 entries. Deciding allocates nothing: every allocation of the process is
 * counted while it decides. How long it takes is printed with SALLYPORT_FIGURES set (docs/benchmarks.md); the bound here is
 * wide, for slow builds on busy machines.
 */
#include "policy/policy.h"

#include <stdio.h>
#include <time.h>

#include "support/check_main.h"

#define RULES   1000
#define ENTRIES 100000
#define ROUNDS  500

static _Atomic size_t allocations;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* The sanitizers' own header comes with clang alone. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *ptr, size_t size)
{
    (void)ptr;
    (void)size;
    allocations++;
}

static void on_free(const volatile void *ptr)
{
    (void)ptr;
}

static void count_from_now_on(void)
{
    (void)__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}
#else
extern void *__libc_malloc(size_t len);
extern void *__libc_calloc(size_t n, size_t len);
extern void *__libc_realloc(void *ptr, size_t len);
void *malloc(size_t len);
void *calloc(size_t n, size_t len);
void *realloc(void *ptr, size_t len);

void *malloc(size_t len)
{
    allocations++;
    return __libc_malloc(len);
}

void *calloc(size_t n, size_t len)
{
    allocations++;
    return __libc_calloc(n, len);
}

void *realloc(void *ptr, size_t len)
{
    allocations++;
    return __libc_realloc(ptr, len);
}

static void count_from_now_on(void)
{
}
#endif

static struct sp_buf policy_text, list_text;

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    (void)ctx;
    if (strcmp(name, "policies/policy.json") == 0)
        *out = sp_buf_bytes(&policy_text);
    else if (strcmp(name, "policies/lists/large.txt") == 0)
        *out = sp_buf_bytes(&list_text);
    else
        return SP_E_NOT_FOUND;
    return SP_OK;
}

/* Rules of every kind of test; none but the default takes the ordinary message. */
static void make_texts(void)
{
    static const char *const when[] = {
        "{\"recipient.domain\": {\"in\": \"large\"}, \"subject\": \"topic %d\"}",
        "{\"any\": [{\"recipient.address\": \"a%d@b.example\"}, {\"header.x-rule\": \"%d\"}]}",
        "{\"phi.distinct.MRN\": {\"at_least\": %d}, \"not\": {\"scan\": \"failed\"}}",
        "{\"sender.address\": {\"like\": \"*-%d@hospital.example\"}}",
        "{\"subject\": {\"regex\": \"(?i)case no\\\\. %d$\"}}",
    };

    sp_buf_init(&policy_text, 8U << 20);
    sp_buf_init(&list_text, 8U << 20);
    for (int i = 0; i < ENTRIES; i++)
        sp_buf_printf(&list_text, "host%d.partner%d.example until=2090-01-01 # no. %d\n", i, i % 97,
                      i);
    sp_buf_put_cstr(
        &policy_text,
        "{\"version\": 1, \"settings\": {\"timezone\": \"America/Chicago\"}, \"lists\": "
        "{\"large\": {\"kind\": \"domains\", \"file\": \"lists/large.txt\"}}, "
        "\"ladders\": {\"l\": {\"rungs\": [\"tls:dane\", \"portal\"], \"floor\": "
        "\"tls:dane\"}}, \"rules\": [");
    for (int i = 0; i < RULES; i++) {
        sp_buf_printf(&policy_text, "%s{\"rule\": \"r%d\", \"when\": ", i == 0 ? "" : ",\n", i);
        for (const char *c = when[i % 5]; *c != 0; c++) {
            if (c[0] == '%' && c[1] == 'd') {
                sp_buf_put_dec(&policy_text, i + 1000);
                c++;
            } else {
                sp_buf_put_u8(&policy_text, (uint8_t)*c);
            }
        }
        sp_buf_put_cstr(&policy_text, ", \"then\": {\"protect\": \"l\"}}");
    }
    sp_buf_put_cstr(&policy_text, "], \"default\": {\"protect\": \"l\"}}");
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void set_facts(struct sp_facts *f, const char *to, const char *subject)
{
    static const struct sp_fact_type types[] = {{SP_LIT_INIT("MRN"), 3, 2}};

    sp_facts_init(f);
    f->now_ms = 1795000000000;
    sp_facts_set_text(f, SP_FACT_TENANT, SP_LIT("hospital"));
    sp_facts_set_sender(f, SP_LIT("dr@hospital.example"));
    sp_facts_set_recipient(f, sp_bytes_cstr(to));
    sp_facts_set_number(f, SP_FACT_RECIPIENT_COUNT, 1);
    sp_facts_set_headers(f, NULL, 0);
    sp_facts_set_text(f, SP_FACT_SUBJECT, sp_bytes_cstr(subject));
    sp_facts_set_number(f, SP_FACT_MESSAGE_SEALED, SP_SEALED_NONE);
    sp_facts_set_number(f, SP_FACT_PHI_CLASS, SP_PHI_NONE);
    sp_facts_set_types(f, types, 1);
    sp_facts_set_scan(f, SP_SCAN_COMPLETE);
}

/* returns: nanoseconds a decision */
static int64_t measure(const struct sp_policy *p, const char *to, const char *subject,
                       const char *rule)
{
    struct sp_decision d;
    struct sp_facts f;
    int64_t from;
    size_t before;

    set_facts(&f, to, subject);
    sp_policy_fill(p, &f);
    sp_policy_decide(p, &f, &d);
    ck_assert_str_eq(d.rule, rule);
    before = allocations;
    from = now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        sp_policy_fill(p, &f);
        sp_policy_decide(p, &f, &d);
        (void)sp_policy_decide_envelope(p, &f, &d);
    }
    from = now_ns() - from;
    ck_assert_msg(allocations == before, "%zu allocations in %d decisions", allocations - before,
                  2 * ROUNDS);
    return from / (int64_t)(2 * ROUNDS);
}

START_TEST(a_large_policy_decides_in_microseconds_and_allocates_nothing)
{
    struct sp_policy_reader reader = {.read = read_file};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) p = NULL;
    int64_t load_ns, all_ns, first_ns;

    make_texts();
    load_ns = now_ns();
    ck_assert_int_eq(sp_policy_load(&reader, "policies/policy.json", problems, &p), SP_OK);
    load_ns = now_ns() - load_ns;
    count_from_now_on();
    all_ns = measure(p, "pat@example.net", "hello", "default");
    first_ns = measure(p, "x@host99999.partner89.example", "topic 1000", "r0");
    if (getenv("SALLYPORT_FIGURES") != NULL)
        printf("1,000 rules, 100,000 entries: loaded in %.0f ms; %.1f us to ask all rules, %.2f us "
               "where the first one decides\n",
               (double)load_ns / 1e6, (double)all_ns / 1e3, (double)first_ns / 1e3);
    ck_assert_msg(all_ns < 5000000, "%lld ns a decision", (long long)all_ns);
    sp_buf_clear(&policy_text);
    sp_buf_clear(&list_text);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_large_policy_decides_in_microseconds_and_allocates_nothing);
}

SP_TEST_MAIN("policy.speed", add)
