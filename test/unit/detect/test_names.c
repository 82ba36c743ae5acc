/*
 * Names of people: found by lists, by their shape and by what stands beside them, and whose they are. Where it can be, each
 * text that is PHI has a neighbour that differs in one thing and is none. And files that are not
 * read count as unknown.
 */
#include "base/buf.h"
#include "base/text.h"
#include "mime/mime.h"
#include "support/detector.h"

#include <stdio.h>
#include <time.h>

static const struct {
    const char *text;
    bool phi;
} texts[] = {
    /* two words that no list has, beside an illness and beside none */
    {"We saw Quorwin Zethbury in clinic today for diabetes.", true},
    {"We saw Quorwin Zethbury at the game today.", false},
    {"Re: Olumfe Grantzovic\n\nMRI shows a torn meniscus.", true},
    {"The insulin for Berhexa Ponarenko was not delivered.", true}, /* by its ending */
    {"Dr. Berhexa Ponarenko will order the insulin.", false},
    {"Please call Brinxe van der Woldt about her biopsy.", true}, /* by its particles */
    {"S\xc3\xa1nchez, Mar\xc3\xad"
     "a - colonoscopy 9:00",
     true}, /* letters with marks */
    {"Soo-hyun Quarvis has pneumonia.", true},
    {"NWOSUQ, ADAEZE: potassium 6.8, called to floor", true},
    {"ROOM SCHEDULE, LABORATORY: potassium controls", false},
    {"TOLLIVAR-NASH, IMOGEN: infliximab 40 units billed",
     true}, /* half of it is an illness's, too */
    {"GRUBER MAXIMILIAN, 27 M: subdural hematoma on CT", true},
    {"GUBERNATORIAL MAXIMUM: subdural hematoma on CT", false},
    {"eye plan | Caldwell, Ford | glaucoma suspect", true},
    {"The insulin for Lysander Okpavara was not delivered.", true},
    {"He saw \"Sokolova, Yevgenya - overdose, acetaminophen\" on the board.", true},
    {"Ya est\xc3\xa1n listos los folletos de di\xc3\xa1lisis, los llevo o pasan por ellos",
     false}, /* no English */
    {"ALLERGY UPDATE: GRANT, ROSE (F, 1944). Contrast = hives.",
     true}, /* told by what stands behind */
    {"ALLERGY UPDATE: GRANT, ROSE (FUND, 1944). Contrast = hives.", false},
    {"Amazing Grace (F) - hymn at cancer memorial", false},
    {"Medtronic Grant 300 M diabetes pump sales", false},
    /* names of illnesses and operations that are people's as well */
    {"Keith Dressler will call you tomorrow", false},
    {"Gerd M\u00fcller is on the phone", false},
    {"Gerd Becker is on the phone", false},
    {"Ann Lee has Gerd", true},
    {"Ann Lee has gerd", true},
    {"Ann Lee has GERD", true},
    {"Anna Hodgkin is our architect", false},
    {"Ann Lee has Hodgkin lymphoma", true},
    {"Ann Hodgkin lymphoma, stage 2", true},
    {"Tim Huntington bought a car", false},
    {"Ann Lee has Huntington", true},
    {"Kate Asperger sells boats", false},
    {"Ann Lee has Crohn", true},
    {"Tom Foley sent the invoice", false},
    {"Foley removed, Ann Lee comfortable", true},
    {"Yasmin Okafor sent the invoice", false},
    {"John Smith mapped PID-5", false},
    {"Ann Lee treated for PID, doxycycline", true},
    /* who treats an illness is no patient, but for him who says with what */
    {"Ann Lee, who treats lupus, is on vacation", false},
    {"Ann Lee, who treats lupus with prednisone, missed the appointment", true},
    {"Jane Whitfield treats diabetes with insulin.", true},
    /* small words of other languages are nobody; whose name stands beside them is somebody */
    {"Merci Beaucoup for the insulin", false},
    {"Elle est diab\xc3\xa9tique", false},
    {"Buenos Dias, the asthma class starts", false},
    {"Para diabetes, metformin", false},
    {"Ja, insulin", false},
    {"Merci, Lourdes Okafor, your biopsy results are ready", true},
    {"Mi Nguyen has asthma", true},
    {"Carlos Dias has asthma", true},
    {"\xe2\x80\xa2john smith has hiv", true}, /* behind a sign beyond ASCII */
    {"\xe2\x86\x92john smith has hiv", true},
    {"the son of jim larkin, son of bob larkin, son of al larkin, has diabetes", true},
    {"john smith has von willebrand disease, von willebrand disease, von willebrand disease", true},
    {"mme marie dupont est dans le service pour une chimio et son cancer", true},
    {"Prelim. MAY FORD 27 M: subdural hematoma", true},
    {"PAMELA, your FLUOXETINE is ready at store 4410.", true},
    {"Our records show you, EARL J PETTY, filled BIKTARVY in March.", true},
    /* a letter at a time */
    {"P a t i e n t : W i n i f r e d   A p p l e y a r d\nC h e s t   p a i n ,   r u l e   o u t "
     "  M I",
     true},
    {"S S N : 5 2 9 . 8 3 . 4 1 0 7\nadm dx: opioid withdrawal", true},
    {"J o h n  M e r c a d o  h a s  d i a b e t e s", true},
    {"C h e s t   p a i n :   w h e n   t o   c a l l", false},
    {"w o o d s  s l e e p  k e e p  p r o m i s e s  I\ng o  B u t  w o o d s  h a v e  T h e\n"
     "a r e  l o v e l y  b e f o r e  w o o d s  d e e p\nA n d  h a v e  I  d a r k  w o o d s\n"
     "p r o m i s e s  s l e e p  t o  d a r k  k e e p\nk e e p  m i l e s  g o  s l e e p  l o v "
     "e l y\n"
     "s l e e p  g o  I  A n d  B u t\nh a v e  A n d  I  g o  s l e e p",
     false}, /* short words, and those at a line's end, stay apart */
    {"ssn 5 2 9 - 8 3 - 4 1 0 7 x y z has lupus", true}, /* letters are no part of the number */
    {"S S N 5 2 9 8 3 4 1 0 7\nadm dx: opioid withdrawal", true},
    /* words of English as names */
    {"Please call Rose Field about her biopsy results.", true},
    {"The Rose Field entrance is closed. Biopsy samples go to the lab.", false},
    /* in small letters */
    {"hi, quorwin johnson called, his asthma is acting up again", true},
    {"hi, the printer called home, it is acting up again", false},
    {"pls tell mrs abernethy her mammogram was normal", true},
    {"subject: sick\n\nwont be in today, doc says its strep - dwayne", true},
    /* by where they stand */
    {"Dialysis: chair 4 Ponarenko, chair 5 open", true},
    {"Dialysis: chair 4 open, chair 5 open", false},
    {"1) Winthrop - psychosis, haloperidol given\n2) Bancroft - medically clear", true},
    {"Blood culture on Ponarenko grew gram neg rods.", true},
    {"Blood culture on Monday grew gram neg rods.", false},
    {"My sister Quorwina is on chemo.", true},
    {"Twin B Abernethy, apnea of prematurity", true},
    {"Ask about Celestine. She was seen twice.\nCelestine Abernethy, her biopsy is back.", true},
    /* whose they are */
    {"\"Nobody likes the doctor,\" says Marianne Abernethy of the film.", false},
    {"The opioid task force, led by Commissioner Howard Abernethy, met on Monday.", false},
    {"Please welcome our new medical assistants, Howard Abernethy and Ruth Ponarenko, who start "
     "on Monday in the asthma clinic!",
     false},
    {"Lab critical: Abernethy, Ruth potassium 6.8 called to RN Sosa", true},
    {"The soccer coach, Howard Abernethy, has an ear infection.", true},
    {"The soccer coach, Howard Abernethy, will attend the diabetes camp.", false},
    /* firms, and those who work there */
    {"Mary Johnson, Acme Inc employee, was diagnosed with HIV last week.", true},
    {"Mary Johnson, New Leaf Cafe LLC, was diagnosed with HIV last week.", true},
    {"Patient Mary Johnson Acme Inc was diagnosed with HIV last week.", true},
    {"Mary Johnson, LLC sells diabetes supplies.", false},
    {"Mary Johnson Supplies Inc sells diabetes supplies.", false},
    /* testers' records, and people and notes that hold such a word */
    {"Ok Sung Kim has breast cancer and starts chemotherapy on Monday.", true},
    {"Mary Johnson Ok to discharge after chemotherapy", true},
    {"OK, Sunday 0500 it is. The MRI is down till then.", false},
    {"Patient: Ok, Sung. Breast cancer.", true},
    {"Mary Test has breast cancer.", true},
    {"Patient: Mary Test, breast cancer", true},
    {"TEST, PATIENT has breast cancer.", false},
    {"Test Patient has breast cancer.", false},
    {"Lab for TEST, MARY: potassium 6.8", false},
    {"Lab for ZZTEST, MARY: potassium 6.8", false},
    {"Lab for PONARENKO, MARY: potassium 6.8", true},
    /* things that are bought, and instruments */
    {"Order confirmation: blood pressure cuff, 2 x. Ship to: Ruth Abernethy.", false},
    {"Ruth Abernethy has high blood pressure.", true},
    {"Lucy's training on the MRI scanner is on Friday.", false},
    /* rare illnesses by their endings, and everyday words that end so */
    {"Ruth Abernethy was seen for xanthostomiosis.", true},
    {"Ruth Abernethy wrote on symbiosis and metamorphosis.", false},
    {"Ruth Abernethy takes velcopril.", true},
    {"Ruth Abernethy leaves in April.", false},
};

START_TEST(a_name_is_somebodys_with_his_health_beside_it)
{
    struct sp_detect_result r;

    begin();
    sp_detect_text(detect, sp_bytes_cstr(texts[_i].text), NULL, arena, &r);
    ck_assert_msg((r.class >= SP_DETECT_PHI) == texts[_i].phi, "%s: class %d", texts[_i].text,
                  (int)r.class);
    end();
}
END_TEST

/* A window full of names, terms and words of staff: what is looked for around each must not be all of them. */
START_TEST(a_text_of_names_only_is_judged_in_linear_time)
{
    struct sp_detect_result r;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < 8000; i++)
        sp_buf_put_cstr(&b, "Al Ng RN flu ");
    sp_detect_text(detect, sp_buf_bytes(&b), NULL, arena, &r);
    ck_assert(!r.partial && r.types[SP_DETECT_PERSON].count > 0);
    sp_buf_clear(&b);
    end();
}
END_TEST

/* Words without an end: none may be walked to the window's end from each of its parts. */
static const char *const chains[] = {
    "A-",        "O'Brien-Lee-Smith-Jones-",
    "\xc3\x89-", "Soo-jin'",
    "Al-a",      "A.",
    "aa-bb-",    "mr-Jo'",
    "1A-",       "A-name:",
    "O'name:",   "1:.",
    "::",
};

START_TEST(a_text_of_endless_names_is_read_in_linear_time)
{
    struct sp_detect_result r;
    struct timespec begun, ended;
    struct sp_buf b;

    begin();
    sp_buf_init(&b, 1 << 20);
    while (b.len < 250 * 1024)
        sp_buf_put_cstr(&b, chains[_i]);
    ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun), 0);
    sp_detect_text(detect, sp_buf_bytes(&b), NULL, arena, &r);
    ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended), 0);
    ck_assert_msg(ended.tv_sec - begun.tv_sec <= 4, "%s: %ld s", chains[_i],
                  (long)(ended.tv_sec - begun.tv_sec));
    sp_buf_clear(&b);
    end();
}
END_TEST

static const struct {
    const char *name;
    const char *base64; /* how such a file begins */
} unread[] = {
    {"a cut zip", "UEsDBBQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"a broken pdf", "JVBERi0xLjcKJeLjz9MK"},
    {"7z", "N3q8ryccAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"rar", "UmFyIRoHAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"old office", "0M8R4KGxGuEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
};

/* Whatever their label says: here it says text. */
START_TEST(what_is_not_read_makes_the_scan_partial)
{
    struct sp_detect_limits limits = {0};
    struct sp_detect_result r;
    struct sp_buf b;
    struct sp_bytes mem;
    struct sp_mime_source source;

    begin();
    sp_buf_init(&b, 4096);
    sp_buf_printf(
        &b,
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
        "--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "%s\r\n--b--\r\n",
        unread[_i].base64);
    mem = sp_buf_bytes(&b);
    source = sp_mime_source_bytes(&mem);
    ck_assert_int_eq(sp_detect_message(detect, &source, &limits, arena, &r), SP_OK);
    ck_assert_msg(r.partial && r.gap_count > 0, "%s", unread[_i].name);
    sp_buf_clear(&b);
    end();
}
END_TEST

/* ---- a text whose first bytes are a file's: its reader sees the text ---- */

#define A_PATIENT "Patient Ruth Abernethy, MRN 4482913, was admitted with pneumonia.\r\n"
#define IN_PIECES                                                                                  \
    "<html><p>P&#97;ti<b></b>ent R&#117;<i></i>th Ab&#101;rn<b></b>ethy, M<b></b>RN "              \
    "44829<b></b>13, was admitted "                                                                \
    "with pn&#101;um<i></i>onia.</p></html>\r\n"

static const struct {
    const char *name, *type;
    const char *base64; /* the file in front; NULL: a tar */
    const char *text;
    bool partial;
} fronts[] = {
    {"zip", "plain",
     "UEsDBBQAAAAAAAAAIQCsKpPYAgAAAAIAAAABAAAAYWhpUEsBAhQDFAAAAAAAAAAhAKwqk9gCAAAAAgAAAAEAAAAAAAAA"
     "AAAAAIABAAAAAGFQSwUGAAAAAAEAAQAvAAAAIQAAAAAA",
     "\r\n" A_PATIENT, true},
    {"gzip", "plain", "H4sIAAAAAAACA8vIBACsKpPYAgAAAA==", "\r\n" A_PATIENT, true},
    {"tar", "plain", NULL, "\r\n" A_PATIENT, true},
    {"tar before a page", "html", NULL, IN_PIECES, true},
    {"GIF", "html", "R0lGOAA=", IN_PIECES, true}, /* GIF8, NUL */
    {"PNG", "html", "iVBORw0KAA==", IN_PIECES, true},
    {"JPEG", "plain", "/9j/AA==", A_PATIENT, true},
    {"rar", "plain", "UmFyISA=", A_PATIENT, true},
    {"PDF", "plain", "JVBERi0xLjQg", A_PATIENT, true},
    {"PDF before a page", "html", "JVBERi0xLjQg", IN_PIECES, true},
    {"hidden in RTF", "plain", "e1xydGYxXGJpbjk5OSA=", A_PATIENT "}", true}, /* {\rtf1\bin999 */
    {"nothing", "plain", "", A_PATIENT, false},
    {"nothing before a page", "html", "", IN_PIECES, false},
};

/* An archive of one empty file. */
static void put_tar(struct sp_buf *b)
{
    uint8_t tar[1536] = "a";
    unsigned sum = 0;

    memcpy(tar + 100, "0000644", 8);
    memcpy(tar + 124, "00000000000", 12);
    memcpy(tar + 136, "00000000000", 12);
    tar[156] = '0';
    memcpy(tar + 257, "ustar", 6);
    tar[263] = tar[264] = '0';
    memset(tar + 148, ' ', 8);
    for (size_t at = 0; at < 512; at++)
        sum += tar[at];
    (void)snprintf((char *)tar + 148, 7, "%06o", sum);
    sp_buf_put(b, sp_bytes(tar, sizeof(tar)));
}

START_TEST(a_file_in_front_hides_no_text)
{
    struct sp_detect_limits limits = {0};
    struct sp_detect_result r;
    struct sp_buf body, b;
    struct sp_bytes mem;
    struct sp_mime_source source;

    begin();
    sp_buf_init(&body, 8192);
    sp_buf_init(&b, 16384);
    if (fronts[_i].base64 == NULL)
        put_tar(&body);
    else
        ck_assert(sp_base64_decode(&body, sp_bytes_cstr(fronts[_i].base64)));
    sp_buf_put_cstr(&body, fronts[_i].text);
    sp_buf_printf(&b,
                  "Subject: x\r\nContent-Type: text/%s\r\nContent-Transfer-Encoding: "
                  "base64\r\n\r\n",
                  fronts[_i].type);
    sp_base64_encode(&b, sp_buf_bytes(&body));
    sp_buf_put_cstr(&b, "\r\n");
    mem = sp_buf_bytes(&b);
    source = sp_mime_source_bytes(&mem);
    ck_assert_int_eq(sp_detect_message(detect, &source, &limits, arena, &r), SP_OK);
    ck_assert_msg(r.class >= SP_DETECT_PHI, "%s: class %d", fronts[_i].name, (int)r.class);
    ck_assert_msg(r.partial == fronts[_i].partial, "%s: partial %d", fronts[_i].name, r.partial);
    sp_buf_clear(&body);
    sp_buf_clear(&b);
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, a_name_is_somebodys_with_his_health_beside_it, 0, SP_ARRAY_LEN(texts));
    tcase_add_test(c, a_text_of_names_only_is_judged_in_linear_time);
    tcase_add_loop_test(c, a_text_of_endless_names_is_read_in_linear_time, 0, SP_ARRAY_LEN(chains));
    tcase_add_loop_test(c, what_is_not_read_makes_the_scan_partial, 0, SP_ARRAY_LEN(unread));
    tcase_add_loop_test(c, a_file_in_front_hides_no_text, 0, SP_ARRAY_LEN(fronts));
}

SP_TEST_MAIN("detect.names", add)
