/*
 * `sallyport probe DOMAIN`: what the gateway sees of a domain, on one page: DNS, policy, each host's TLS, the rungs that are
 * open, and what the live policy would do with an ordinary message. The exit code says the last: 0 it would go, 1 it would
 * not, 2 nobody can tell now.
 */
#include "gateway/cli-control/control.h"

#include <stdio.h>

#define QUESTION_MAX 4096
#define UNSURE       2

/* Names come from outside: what a terminal would take for more than text is shown as "?". */
static void put(struct sp_bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        (void)putchar(text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f ? text.ptr[i] : '?');
}

static void put_list(const struct sp_json *list)
{
    for (const struct sp_json *e = list == NULL ? NULL : list->first; e != NULL; e = e->next) {
        put(e->text);
        if (e->next != NULL)
            (void)printf(", ");
    }
}

static void put_member(const struct sp_json *object, const char *key, const char *before,
                       const char *after)
{
    struct sp_bytes text = sp_json_text_of(object, key);

    if (text.len == 0)
        return;
    (void)printf("%s", before);
    put(text);
    (void)printf("%s", after);
}

static void print_domain(const struct sp_json *p)
{
    const struct sp_json *mx = sp_json_find(p, "mx");
    const struct sp_json *sts = sp_json_find(p, "sts");
    const struct sp_json *resolver = sp_json_find(p, "resolver");

    put_member(p, "domain", "", "\n");
    put_member(p, "via", "  by       ", "");
    put_member(mx, "state", ", MX ", "");
    put_member(mx, "why", " (", ")");
    put_member(resolver, "address", ", asked ", "");
    (void)printf("%s\n",
                 sp_json_bool_of(resolver, "trusted", false) ? "" : " (not trusted: no DANE)");
    put_member(p, "why", "  problem  ", "\n");
    put_member(p, "pin", "  pinned   ", "\n");
    if (sts != NULL) {
        put_member(sts, "mode", "  MTA-STS  ", "");
        put_member(sts, "id", ", id ", "");
        put_member(sts, "until", ", until ", "");
        put_member(sts, "why", " (", ")");
        (void)putchar('\n');
    }
    put_member(p, "remembered", "  proved   ", " at best so far\n");
}

static void print_tls(const struct sp_json *h)
{
    const struct sp_json *tls = sp_json_find(h, "tls");
    const struct sp_json *certificate = sp_json_find(h, "certificate");

    if (tls == NULL)
        return;
    put_member(tls, "version", "    TLS      ", "");
    put_member(tls, "cipher", " ", "");
    put_member(tls, "group", " ", "");
    put_member(tls, "verified_by", ", verified by ", "\n");
    (void)printf("    names    ");
    put_list(sp_json_find(tls, "names"));
    put_member(tls, "not_after", ", until ", "");
    (void)printf("; chain %s, name %s%s\n",
                 sp_json_bool_of(certificate, "chain", false) ? "good" : "not trusted",
                 sp_json_bool_of(certificate, "name", false) ? "good" : "wrong",
                 sp_json_bool_of(certificate, "expired", false) ? ", expired" : "");
    put_member(tls, "spki_sha256", "    key      ", "\n");
}

static void print_host(const struct sp_json *h)
{
    const struct sp_json *tlsa = sp_json_find(h, "tlsa");
    bool talks = sp_json_bool_of(h, "talks", false);

    put_member(h, "host", "  host     ", "");
    (void)printf(":%lld", (long long)sp_json_int_of(h, "port", 0));
    if (sp_json_find(h, "preference") != NULL)
        (void)printf(", preference %lld", (long long)sp_json_int_of(h, "preference", 0));
    (void)printf("\n    address  ");
    put_list(sp_json_find(h, "addresses"));
    put_member(h, "address", " (", ")");
    (void)printf("\n    TLSA     ");
    put_member(tlsa, "state", "", "");
    put_member(tlsa, "why", " (", ")");
    (void)putchar('\n');
    for (const struct sp_json *r =
             sp_json_find(tlsa, "records") == NULL ? NULL : sp_json_find(tlsa, "records")->first;
         r != NULL; r = r->next) {
        bool matched = sp_bytes_eq_nocase(r->text, sp_json_text_of(h, "tlsa_matched"));

        (void)printf("             ");
        put(r->text);
        (void)printf("%s\n", matched ? "  <- matched" : "");
    }
    if (!talks)
        put_member(h, "why", "    silent   ", "\n");
    else if (!sp_json_bool_of(h, "starttls", false))
        (void)printf("    TLS      not offered\n");
    print_tls(h);
    put_member(h, "level", "    worth    ", "\n");
}

static void print_rung(const struct sp_json *r)
{
    put_member(r, "rung", "    ", "");
    if (sp_json_bool_of(r, "open", false)) {
        (void)printf("  open");
        put_member(r, "host", ", by ", "");
    } else {
        put_member(r, "cause", "  ", "");
        put_member(r, "why", ": ", "");
    }
    (void)putchar('\n');
}

static void print_policy(const struct sp_json *p)
{
    const struct sp_json *policy = sp_json_find(p, "policy");
    const struct sp_json *ladder = sp_json_find(policy, "ladder");

    put_member(policy, "rule", "  policy   rule ", "");
    put_member(policy, "floor", ", floor ", "");
    (void)putchar('\n');
    for (const struct sp_json *r = ladder == NULL ? NULL : ladder->first; r != NULL; r = r->next)
        print_rung(r);
    put_member(policy, "does", "  mail     ", "");
    put_member(policy, "rung", " ", "");
    put_member(policy, "why", ": ", "");
    (void)putchar('\n');
}

static void print_page(const struct sp_json *p)
{
    const struct sp_json *hosts = sp_json_find(p, "hosts");
    const struct sp_json *rungs = sp_json_find(p, "rungs");

    print_domain(p);
    for (const struct sp_json *h = hosts == NULL ? NULL : hosts->first; h != NULL; h = h->next)
        print_host(h);
    (void)printf("  rungs\n");
    for (const struct sp_json *r = rungs == NULL ? NULL : rungs->first; r != NULL; r = r->next)
        print_rung(r);
    print_policy(p);
}

int control_probe(const struct control *c)
{
    struct control_answer answer;
    struct sp_buf question;
    struct sp_jw w;
    int code;

    if (c->word_count != 2)
        return control_usage(c, "probe DOMAIN");
    sp_buf_init(&question, QUESTION_MAX);
    sp_jw_init(&w, &question);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "command", "probe");
    sp_jw_cstr(&w, "domain", c->words[1]);
    if (c->sender != NULL)
        sp_jw_cstr(&w, "sender", c->sender);
    sp_jw_end(&w);
    control_ask(c, sp_buf_bytes(&question), &answer);
    sp_buf_clear(&question);
    code = answer.code;
    if (code == CONTROL_OK) {
        if (c->json)
            control_print_json(answer.result);
        else
            print_page(answer.result);
        code = (int)sp_json_int_of(answer.result, "exit", UNSURE);
    }
    control_answer_clear(&answer);
    return code;
}
