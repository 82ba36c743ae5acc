/*
 * The linear model beside the rules: what only it finds, in a short text and in a piece of a long one, is PHI and said to be so
 * by the words that weighed most; a number, an illness or a name alone stays none, and what was found stays found
 * whatever stands behind it.
 */
#include "base/buf.h"
#include "detect/weigh_priv.h"
#include "support/detector.h"

#include <string.h>

#define PHONED                                                                                     \
    "Just got off the phone with the daughter of Mr. Winter in 218. She is asking whether we can " \
    "stop sticking him every morning."
#define SQUEEZE                                                                                    \
    "Colt is 14 now and the seizures are back. Dr. Im, can you squeeze us in? - Dawn Prairie, "    \
    "his mom"

static struct sp_detect_result look(struct sp_bytes text, bool findings)
{
    const struct sp_detect_limits limits = {.findings = findings};
    struct sp_detect_result r;

    sp_detect_text(detect, text, &limits, arena, &r);
    return r;
}

START_TEST(what_the_law_treats_as_special_is_never_taken_back)
{
    begin();
    ck_assert_int_eq(
        look(SP_LIT("Hi Ms. Palmer, sorry for the mix-up with the invoice and the delivery of the "
                    "chairs. The clerk who mentioned your HIV status at the counter has had "
                    "training, the screen was moved, and the policy was printed again for all "
                    "staff. The new carpet comes in May, the budget meeting is on Tuesday."),
             false)
            .class,
        SP_DETECT_SEVERE);
    end();
}
END_TEST

START_TEST(what_weighed_most_is_told_to_those_who_ask)
{
    struct sp_detect_result r;

    begin();
    r = look(SP_LIT(PHONED), true);
    ck_assert_int_eq(r.class, SP_DETECT_PHI);
    ck_assert_uint_gt(r.reason_count, 0);
    for (size_t i = 0; i < r.reason_count; i++) {
        ck_assert_uint_lt(r.reasons[i].start, r.reasons[i].end);
        ck_assert_uint_le(r.reasons[i].end, strlen(PHONED));
        ck_assert(i == 0 || r.reasons[i].score <= r.reasons[i - 1].score);
    }
    ck_assert_uint_eq(look(SP_LIT(PHONED), false).reason_count, 0);
    r = look(SP_LIT("Patient: Maria Gonzalez, MRN 4482910, lupus"), true);
    ck_assert_int_eq(r.class, SP_DETECT_PHI);
    ck_assert_uint_eq(r.reason_count, 0); /* rules say so */
    end();
}
END_TEST

START_TEST(a_paragraph_is_judged_alone_however_many_lines_stand_before)
{
    static const char footer[] = "You receive this newsletter because you subscribe. Unsubscribe.\n"
                                 "Our next webinar: register now and learn more.";
    struct sp_buf text;

    begin();
    sp_buf_init(&text, 65536);
    sp_buf_put_cstr(&text, footer);
    sp_buf_put_cstr(&text, "\n\n");
    for (size_t i = 0; i < 200; i++)
        sp_buf_put_cstr(&text, "It rained.\n");
    sp_buf_put_cstr(&text, "\nMrs. Maria Gonzalez has lupus.\n\n");
    sp_buf_put_cstr(&text, footer);
    ck_assert_int_eq(look(sp_buf_bytes(&text), false).class, SP_DETECT_PHI);
    sp_buf_clear(&text);
    end();
}
END_TEST

START_TEST(care_is_weighed_if_enough_is_said_of_whom)
{
    begin();
    ck_assert_int_lt(look(SP_LIT("HIV, BRCA1, suboxone"), false).class, SP_DETECT_PHI);
    ck_assert_int_eq(look(SP_LIT("Marigold in memory care fell again at 4, no head strike, skin "
                                 "tear L elbow. Left vm for POA at 555-0186."),
                          false)
                         .class,
                     SP_DETECT_PHI);
    end();
}
END_TEST

START_TEST(a_piece_of_a_long_text_is_weighed)
{
    static const char filler[] =
        "The shipment left the warehouse in the morning and was signed for at "
        "noon by the clerk of the day. ";
    struct sp_detect_result without, with;
    struct sp_buf text;

    begin();
    sp_buf_init(&text, 65536);
    for (size_t i = 0; i < 60; i++)
        sp_buf_put_cstr(&text, filler);
    without = look(sp_buf_bytes(&text), true);
    sp_buf_put_cstr(&text, "\n\n" SQUEEZE "\n\n");
    for (size_t i = 0; i < 60; i++)
        sp_buf_put_cstr(&text, filler);
    with = look(sp_buf_bytes(&text), true);
    ck_assert_int_lt(without.class, SP_DETECT_PHI);
    ck_assert_int_eq(with.class, SP_DETECT_PHI);
    sp_buf_clear(&text);
    end();
}
END_TEST

static const char *const alone[] = {
    "Member id HB 4410 2291",
    "MRN 00482911",
    "Medicare id 1EG4-TE5-MK73",
    "SSN 219-45-6781",
    "Howard Abernethy, 12 Elm St, Salem OR 97301",
    "Maria Gonzalez, 14 Oak Ave, Dayton OH 45402, 937-555-0144",
    "Please call Priya Raman back at 212-555-0137 tomorrow.",
    "Ship to:\nDiamond Whitlock\n3211 N Main St\nWaco TX 76776",
    "Name: Jarrett Epps\nDate of birth: 04/21/1998\nPassport: 580687439",
    "What are the symptoms of lupus?",
    "hypertension, diabetes and asthma",
};

START_TEST(one_half_alone_is_never_phi)
{
    begin();
    ck_assert_msg(look(sp_bytes_cstr(alone[_i]), false).class < SP_DETECT_PHI, "%s", alone[_i]);
    end();
}
END_TEST

#define ALVAREZ                                                                                    \
    "Hi Anna, Mrs. Alvarez in room 412 was diagnosed with breast cancer on Tuesday and starts "    \
    "chemotherapy next week."

#define SIDDIQUI "Abdul Siddiqui presented with STEMI, cath lab activated."
#define EXTUBATE                                                                                   \
    "EEG slowing only. Neuro ok to extubate Goldie M. today. Her parents want Dr. Rao there."
#define NALOXONE                                                                                   \
    "Per EMS: unresponsive at a stop, pinpoint pupils, woke with naloxone, gave name as Lyric "    \
    "Boone."
#define MEETING                                                                                    \
    "The staff meeting on Thursday is moved to 3 pm in the large conference room. Please bring "   \
    "your agenda items by Wednesday noon."
#define NEWSLETTER                                                                                 \
    "Unsubscribe from this newsletter at any time. Our next webinar: register now. Read more on "  \
    "our website."

static const char *const behind[] = {
    ALVAREZ
    "\nPS: The potluck is on Friday, bring a dish. Parking in lot B is closed, and new badges "
    "are at the front desk.",
    ALVAREZ "\n\nUnsubscribe from this newsletter at any time. Our next webinar: register now.",
    ALVAREZ "\n\nThe conference is in May, and the symposium in June.\n\nBoth need volunteers.",
    "Abdul Siddiqui presented with STEMI, cath lab activated.\nUnsubscribe from this newsletter. "
    "Our next webinar: register now.",
    SQUEEZE "\n\nThe staff meeting on Thursday is moved to 3 pm in the large conference room.",
    MEETING "\n\n" ALVAREZ "\n\n" NEWSLETTER,
    MEETING "\n" ALVAREZ "\n" NEWSLETTER,
    MEETING "\n\n" SIDDIQUI "\n\n" NEWSLETTER,
    MEETING "\n" SIDDIQUI "\n" NEWSLETTER,
    MEETING "\n\n" EXTUBATE "\n\n" NEWSLETTER,
    MEETING "\n" EXTUBATE "\n" NEWSLETTER,
    MEETING "\n" NALOXONE "\n" NEWSLETTER,
    MEETING "\n\n" MEETING "\n\n" EXTUBATE "\n\n" NEWSLETTER "\n\n" NEWSLETTER,
    "wanted 2 let u know steph's surgery got moved to the 14th, shes freaking out\n\n"
    "CONFIDENTIALITY NOTICE: THIS E-MAIL IS FOR THE USE OF ITS RECIPIENT ONLY.",
};

START_TEST(what_stands_behind_takes_nothing_back)
{
    begin();
    ck_assert_msg(look(sp_bytes_cstr(behind[_i]), false).class == SP_DETECT_PHI, "%s", behind[_i]);
    end();
}
END_TEST

/* Both ways of computing what words say in a row, of each window that is judged. */
static uint32_t weigh_both(void *arg, const struct detect_judge *j, uint32_t score)
{
    struct detect_scale *scale = j->w->d->scale;
    struct detect_phrases *wide = scale->phrases;
    size_t most = j->w->begin + DETECT_PIECE, to = j->w->len < most ? j->w->len : most;
    int32_t *seen = arg, weight;

    weight = sp_detect_phrases(scale, j->w, j->w->begin, to);
    scale->phrases = sp_detect_phrases_new(true);
    ck_assert_int_eq(sp_detect_phrases(scale, j->w, j->w->begin, to), weight);
    sp_free(scale->phrases);
    scale->phrases = wide;
    seen[weight > 0]++;
    return score;
}

START_TEST(each_processor_gives_the_same_weight)
{
    int32_t seen[2] = {0};

    begin();
    if (detect->scale == NULL)
        detect->scale = sp_detect_scale_new();
    detect->scale->watch = weigh_both;
    detect->scale->watch_arg = seen;
    for (size_t i = 0; i < SP_ARRAY_LEN(behind); i++)
        look(sp_bytes_cstr(behind[i]), false);
    for (size_t i = 0; i < SP_ARRAY_LEN(alone); i++)
        look(sp_bytes_cstr(alone[i]), false);
    look(SP_LIT(PHONED), false);
    look(SP_LIT("?"), false);
    look(SP_LIT(" \n"), false);
    detect->scale->watch = NULL;
    ck_assert_int_gt(seen[0], 0);
    ck_assert_int_gt(seen[1], 0);
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, each_processor_gives_the_same_weight);
    tcase_add_test(c, what_the_law_treats_as_special_is_never_taken_back);
    tcase_add_test(c, what_weighed_most_is_told_to_those_who_ask);
    tcase_add_test(c, a_piece_of_a_long_text_is_weighed);
    tcase_add_test(c, a_paragraph_is_judged_alone_however_many_lines_stand_before);
    tcase_add_test(c, care_is_weighed_if_enough_is_said_of_whom);
    tcase_add_loop_test(c, what_stands_behind_takes_nothing_back, 0, SP_ARRAY_LEN(behind));
    tcase_add_loop_test(c, one_half_alone_is_never_phi, 0, SP_ARRAY_LEN(alone));
}

SP_TEST_MAIN("detect.weigh", add)
