/* Numbers as people and programs write them when they do not write them as numbers: each is found, and where it stands. */
#include "base/buf.h"
#include "base/text.h"
#include "support/detector.h"

static const struct {
    const char *label;
    const char *value;
    enum sp_detect_type type;
} awkward[] = {
    {"SSN: ", "219/45/6781", SP_DETECT_US_SSN},
    {"SSN: ", "219\\45\\6781", SP_DETECT_US_SSN},
    {"SSN: ", "219_45_6781", SP_DETECT_US_SSN},
    {"SSN: ", "219,45,6781", SP_DETECT_US_SSN},
    {"SSN: ", "219\u00b745\u00b76781", SP_DETECT_US_SSN},
    {"SSN: ", "219\u202245\u20226781", SP_DETECT_US_SSN},
    {"SSN: ", "219\t45\t6781", SP_DETECT_US_SSN},
    {"SSN: ", "219|45|6781", SP_DETECT_US_SSN},
    {"SSN: ", "219:45:6781", SP_DETECT_US_SSN},
    {"SSN: ", "219~45~6781", SP_DETECT_US_SSN},
    {"SSN: ", "219*45*6781", SP_DETECT_US_SSN},
    {"SSN: ", "219\u204445\u20446781", SP_DETECT_US_SSN},
    {"SSN: ", "219\uff0f45\uff0f6781", SP_DETECT_US_SSN},
    {"SSN: ", "219 / 45 / 6781", SP_DETECT_US_SSN},
    {"SSN: ", "219\u00a045\u00a06781", SP_DETECT_US_SSN},
    {"SSN: ", "219-\n45-\n6781", SP_DETECT_US_SSN},
    {"SSN: ", "219\u058a45\u058a6781", SP_DETECT_US_SSN},
    {"SSN: ", "2\u200b1\u200b9\u200b4\u200b5\u200b6\u200b7\u200b8\u200b1", SP_DETECT_US_SSN},
    {"SSN: ", "2\u00ad1\u00ad9\u00ad4\u00ad5\u00ad6\u00ad7\u00ad8\u00ad1", SP_DETECT_US_SSN},
    {"SSN: ", "2/1/9/4/5/6/7/8/1", SP_DETECT_US_SSN},
    {"SSN: ", "\uff12\uff11\uff19\uff0d\uff14\uff15\uff0d\uff16\uff17\uff18\uff11",
     SP_DETECT_US_SSN},
    {"SSN: ", "\u0662\u0661\u0669-\u0664\u0665-\u0666\u0667\u0668\u0661", SP_DETECT_US_SSN},
    {"SSN: ", "\u06f2\u06f1\u06f9-\u06f4\u06f5-\u06f6\u06f7\u06f8\u06f1", SP_DETECT_US_SSN},
    {"SSN: ", "\u0968\u0967\u096f-\u096a\u096b-\u096c\u096d\u096e\u0967", SP_DETECT_US_SSN},
    {"SSN: ", "\u09e8\u09e7\u09ef-\u09ea\u09eb-\u09ec\u09ed\u09ee\u09e7", SP_DETECT_US_SSN},
    {"SSN: ", "\u0e52\u0e51\u0e59-\u0e54\u0e55-\u0e56\u0e57\u0e58\u0e51", SP_DETECT_US_SSN},
    {"SSN: ", "\u17e2\u17e1\u17e9-\u17e4\u17e5-\u17e6\u17e7\u17e8\u17e1", SP_DETECT_US_SSN},
    {"SSN: ", "\u0f22\u0f21\u0f29-\u0f24\u0f25-\u0f26\u0f27\u0f28\u0f21", SP_DETECT_US_SSN},
    {"SSN: ", "\u1042\u1041\u1049-\u1044\u1045-\u1046\u1047\u1048\u1041", SP_DETECT_US_SSN},
    {"SSN: ", "\u1812\u1811\u1819-\u1814\u1815-\u1816\u1817\u1818\u1811", SP_DETECT_US_SSN},
    {"SSN: ", "\u2461\u2460\u2468-\u2463\u2464-\u2465\u2466\u2467\u2460", SP_DETECT_US_SSN},
    {"SSN: ", "\u2777\u2776\u277e-\u2779\u277a-\u277b\u277c\u277d\u2776", SP_DETECT_US_SSN},
    {"SSN: ", "\u278b\u278a\u2792-\u278d\u278e-\u278f\u2790\u2791\u278a", SP_DETECT_US_SSN},
    {"SSN: ", "\u24f6\u24f5\u24fd-\u24f8\u24f9-\u24fa\u24fb\u24fc\u24f5", SP_DETECT_US_SSN},
    {"SSN: ", "\u00b2\u00b9\u2079-\u2074\u2075-\u2076\u2077\u2078\u00b9", SP_DETECT_US_SSN},
    {"SSN: ", "\u2082\u2081\u2089-\u2084\u2085-\u2086\u2087\u2088\u2081", SP_DETECT_US_SSN},
    {"SSN: ",
     "\U0001d7d0\U0001d7cf\U0001d7d7-\U0001d7d2\U0001d7d3-\U0001d7d4\U0001d7d5\U0001d7d6\U0001d7cf",
     SP_DETECT_US_SSN},
    {"SSN: ",
     "\U0001d7f8\U0001d7f7\U0001d7ff-\U0001d7fa\U0001d7fb-\U0001d7fc\U0001d7fd\U0001d7fe\U0001d7f7",
     SP_DETECT_US_SSN},
    {"SSN: ",
     "\U0001fbf2\U0001fbf1\U0001fbf9-\U0001fbf4\U0001fbf5-\U0001fbf6\U0001fbf7\U0001fbf8\U0001fbf1",
     SP_DETECT_US_SSN},
    {"SSN: ", "\u2475\u2474\u247c-\u2477\u2478-\u2479\u247a\u247b\u2474", SP_DETECT_US_SSN},
    {"SSN: ",
     "\U000104a2\U000104a1\U000104a9-\U000104a4\U000104a5-\U000104a6\U000104a7\U000104a8\U000104a1",
     SP_DETECT_US_SSN},
    {"SSN: ", "\u07c2\u07c1\u07c9-\u07c4\u07c5-\u07c6\u07c7\u07c8\u07c1", SP_DETECT_US_SSN},
    {"SSN: ",
     "2\ufe0f\u20e31\ufe0f\u20e39\ufe0f\u20e3-4\ufe0f\u20e35\ufe0f\u20e3-"
     "6\ufe0f\u20e37\ufe0f\u20e38\ufe0f\u20e31",
     SP_DETECT_US_SSN},
    {"SSN: ", "2\u03361\u03369\u0336-45-6781", SP_DETECT_US_SSN},
    {"MBI: ", "1EG4/TE5/MK73", SP_DETECT_MBI},
    {"MBI: ", "1EG4_TE5_MK73", SP_DETECT_MBI},
    {"MBI: ", "1EG4|TE5|MK73", SP_DETECT_MBI},
    {"MBI: ", "1EG4\tTE5\tMK73", SP_DETECT_MBI},
    {"MBI: ", "1EG4\u00a0TE5\u00a0MK73", SP_DETECT_MBI},
    {"MBI: ", "1EG4\u00b7TE5\u00b7MK73", SP_DETECT_MBI},
    {"MBI: ", "1EG4 - TE5 - MK73", SP_DETECT_MBI},
    {"MBI: ", "1EG4\nTE5\nMK73", SP_DETECT_MBI},
    {"MBI: ", "1\u200bE\u200bG\u200b4\u200bT\u200bE\u200b5\u200bM\u200bK\u200b7\u200b3",
     SP_DETECT_MBI},
    {"MBI: ", "1 E G 4 T E 5 M K 7 3", SP_DETECT_MBI},
    {"MBI: ", "\uff11\uff25\uff27\uff14\uff0d\uff34\uff25\uff15\uff0d\uff2d\uff2b\uff17\uff13",
     SP_DETECT_MBI},
    {"MBI: ", "\u0967EG\u096a-TE\u096b-MK\u096d\u0969", SP_DETECT_MBI},
    {"MBI: ", "\u2460EG\u2463-TE\u2464-MK\u2466\u2462", SP_DETECT_MBI},
    {"MBI: ", "\U0001d7cfEG\U0001d7d2-TE\U0001d7d3-MK\U0001d7d5\U0001d7d1", SP_DETECT_MBI},
    {"NPI: ", "1234/567/893", SP_DETECT_NPI},
    {"NPI: ", "1234_567_893", SP_DETECT_NPI},
    {"NPI: ", "1234|567|893", SP_DETECT_NPI},
    {"NPI: ", "1234\t567\t893", SP_DETECT_NPI},
    {"NPI: ", "1234\u00a0567\u00a0893", SP_DETECT_NPI},
    {"NPI: ", "1234\u00b7567\u00b7893", SP_DETECT_NPI},
    {"NPI: ", "1234 - 567 - 893", SP_DETECT_NPI},
    {"NPI: ", "1234\n567\n893", SP_DETECT_NPI},
    {"NPI: ", "1\u200b2\u200b3\u200b4\u200b5\u200b6\u200b7\u200b8\u200b9\u200b3", SP_DETECT_NPI},
    {"NPI: ", "1 2 3 4 5 6 7 8 9 3", SP_DETECT_NPI},
    {"NPI: ", "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff13", SP_DETECT_NPI},
    {"NPI: ", "\u0967\u0968\u0969\u096a\u096b\u096c\u096d\u096e\u096f\u0969", SP_DETECT_NPI},
    {"NPI: ", "\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468\u2462", SP_DETECT_NPI},
    {"NPI: ",
     "\U0001d7cf\U0001d7d0\U0001d7d1\U0001d7d2\U0001d7d3\U0001d7d4\U0001d7d5\U0001d7d6\U0001d7d7"
     "\U0001d7d1",
     SP_DETECT_NPI},
    {"DEA: ", "BL/1234563", SP_DETECT_DEA},
    {"DEA: ", "BL_1234563", SP_DETECT_DEA},
    {"DEA: ", "BL|1234563", SP_DETECT_DEA},
    {"DEA: ", "BL\t1234563", SP_DETECT_DEA},
    {"DEA: ", "BL\u00a01234563", SP_DETECT_DEA},
    {"DEA: ", "BL\u00b71234563", SP_DETECT_DEA},
    {"DEA: ", "BL - 1234563", SP_DETECT_DEA},
    {"DEA: ", "BL\n1234563", SP_DETECT_DEA},
    {"DEA: ", "B\u200bL\u200b1\u200b2\u200b3\u200b4\u200b5\u200b6\u200b3", SP_DETECT_DEA},
    {"DEA: ", "B L 1 2 3 4 5 6 3", SP_DETECT_DEA},
    {"DEA: ", "\uff22\uff2c\uff11\uff12\uff13\uff14\uff15\uff16\uff13", SP_DETECT_DEA},
    {"DEA: ", "BL\u0967\u0968\u0969\u096a\u096b\u096c\u0969", SP_DETECT_DEA},
    {"DEA: ", "BL\u2460\u2461\u2462\u2463\u2464\u2465\u2462", SP_DETECT_DEA},
    {"DEA: ", "BL\U0001d7cf\U0001d7d0\U0001d7d1\U0001d7d2\U0001d7d3\U0001d7d4\U0001d7d1",
     SP_DETECT_DEA},
    {"card number: ", "4111/1111/1111/1111", SP_DETECT_CREDIT_CARD},
    {"card number: ", "4111_1111_1111_1111", SP_DETECT_CREDIT_CARD},
    {"card number: ", "4111|1111|1111|1111", SP_DETECT_CREDIT_CARD},
    {"card number: ", "4111\t1111\t1111\t1111", SP_DETECT_CREDIT_CARD},
    {"card number: ", "4111\u00a01111\u00a01111\u00a01111", SP_DETECT_CREDIT_CARD},
    {"card number: ", "4111\u00b71111\u00b71111\u00b71111", SP_DETECT_CREDIT_CARD},
    {"card number: ", "4111 - 1111 - 1111 - 1111", SP_DETECT_CREDIT_CARD},
    {"card number: ", "4111\n1111\n1111\n1111", SP_DETECT_CREDIT_CARD},
    {"card number: ",
     "4\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1\u200b1"
     "\u200b1\u200b1",
     SP_DETECT_CREDIT_CARD},
    {"card number: ", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", SP_DETECT_CREDIT_CARD},
    {"card number: ",
     "\uff14\uff11\uff11\uff11 \uff11\uff11\uff11\uff11 \uff11\uff11\uff11\uff11 "
     "\uff11\uff11\uff11\uff11",
     SP_DETECT_CREDIT_CARD},
    {"card number: ",
     "\u096a\u0967\u0967\u0967 \u0967\u0967\u0967\u0967 \u0967\u0967\u0967\u0967 "
     "\u0967\u0967\u0967\u0967",
     SP_DETECT_CREDIT_CARD},
    {"card number: ",
     "\u2463\u2460\u2460\u2460 \u2460\u2460\u2460\u2460 \u2460\u2460\u2460\u2460 "
     "\u2460\u2460\u2460\u2460",
     SP_DETECT_CREDIT_CARD},
    {"card number: ",
     "\U0001d7d2\U0001d7cf\U0001d7cf\U0001d7cf \U0001d7cf\U0001d7cf\U0001d7cf\U0001d7cf "
     "\U0001d7cf\U0001d7cf\U0001d7cf\U0001d7cf \U0001d7cf\U0001d7cf\U0001d7cf\U0001d7cf",
     SP_DETECT_CREDIT_CARD},
    {"VIN: ", "1HGCM8/2633A/004352", SP_DETECT_VIN},
    {"VIN: ", "1HGCM8_2633A_004352", SP_DETECT_VIN},
    {"VIN: ", "1HGCM8|2633A|004352", SP_DETECT_VIN},
    {"VIN: ", "1HGCM8\t2633A\t004352", SP_DETECT_VIN},
    {"VIN: ", "1HGCM8\u00a02633A\u00a0004352", SP_DETECT_VIN},
    {"VIN: ", "1HGCM8\u00b72633A\u00b7004352", SP_DETECT_VIN},
    {"VIN: ", "1HGCM8 - 2633A - 004352", SP_DETECT_VIN},
    {"VIN: ", "1HGCM8\n2633A\n004352", SP_DETECT_VIN},
    {"VIN: ",
     "1\u200bH\u200bG\u200bC\u200bM\u200b8\u200b2\u200b6\u200b3\u200b3\u200bA\u200b0\u200b0\u200b4"
     "\u200b3\u200b5\u200b2",
     SP_DETECT_VIN},
    {"VIN: ", "1 H G C M 8 2 6 3 3 A 0 0 4 3 5 2", SP_DETECT_VIN},
    {"VIN: ",
     "\uff11\uff28\uff27\uff23\uff2d\uff18\uff12\uff16\uff13\uff13\uff21\uff10\uff10\uff14\uff13"
     "\uff15\uff12",
     SP_DETECT_VIN},
    {"VIN: ", "\u0967HGCM\u096e\u0968\u096c\u0969\u0969A\u0966\u0966\u096a\u0969\u096b\u0968",
     SP_DETECT_VIN},
    {"VIN: ", "\u2460HGCM\u2467\u2461\u2465\u2462\u2462A\u24ea\u24ea\u2463\u2462\u2464\u2461",
     SP_DETECT_VIN},
    {"VIN: ",
     "\U0001d7cfHGCM\U0001d7d6\U0001d7d0\U0001d7d4\U0001d7d1\U0001d7d1A\U0001d7ce\U0001d7ce"
     "\U0001d7d2\U0001d7d1\U0001d7d3\U0001d7d0",
     SP_DETECT_VIN},
    {"MBI: ",
     "\U0001d7cf\U0001d404\U0001d406\U0001d7d2-\U0001d413\U0001d404\U0001d7d3-"
     "\U0001d40c\U0001d40a\U0001d7d5\U0001d7d1",
     SP_DETECT_MBI},
};

static uint32_t points(const char *text)
{
    uint32_t count = 0;

    for (; *text != '\0'; text++)
        count += ((uint8_t)*text & 0xc0) != 0x80;
    return count;
}

static const struct sp_detect_finding *find(const struct sp_detect_result *r,
                                            enum sp_detect_type type)
{
    for (size_t i = 0; i < r->finding_count; i++)
        if (r->findings[i].type == type)
            return &r->findings[i];
    return NULL;
}

START_TEST(an_awkward_number_is_found_where_it_stands)
{
    static const char before[] = "Patient Zo\u00eb Brandt has lupus. ";
    const char *label = awkward[_i].label, *value = awkward[_i].value;
    struct sp_detect_limits limits = {.findings = true};
    const struct sp_detect_finding *f;
    struct sp_detect_result r;
    struct sp_buf text;

    begin();
    sp_buf_init(&text, 4096);
    sp_buf_put_cstr(&text, before);
    sp_buf_put_cstr(&text, label);
    sp_buf_put_cstr(&text, value);
    sp_buf_put_cstr(&text, " on file. Thanks");
    sp_detect_text(detect, sp_buf_bytes(&text), &limits, arena, &r);
    f = find(&r, awkward[_i].type);
    ck_assert_msg(f != NULL, "%s", value);
    ck_assert_msg(f->start == points(before) + points(label), "%s: %u", value, f->start);
    ck_assert_msg(f->end == f->start + points(value), "%s: %u to %u", value, f->start, f->end);
    sp_buf_clear(&text);
    end();
}
END_TEST

static const struct {
    const char *text;
    enum sp_detect_type type;
    bool found;
} texts[] = {
    /* a mark of a footnote is no digit of the number */
    {"SSN 219-45-6781\u00b9, see below", SP_DETECT_US_SSN, true},
    {"SSN 219-45-6781\u2074, see below", SP_DETECT_US_SSN, true},
    /* lists and sums are no number, whatever stands before them */
    {"SSN 219,45,6781,22", SP_DETECT_US_SSN, false},
    {"SSN 219/45-6781", SP_DETECT_US_SSN, false},
    {"SSN 21,94,56,781", SP_DETECT_US_SSN, false},
    {"seats 219/45/6781", SP_DETECT_US_SSN, false},
    {"NPI counts: 12, 34, 56, 78, 93", SP_DETECT_NPI, false},
    {"SSN 123/45/6789", SP_DETECT_US_SSN, false}, /* everybody's example */
    /* the cells of a table */
    {"<table><tr><td>SSN</td><td>219</td><td>45</td><td>6781</td></tr></table>", SP_DETECT_US_SSN,
     true},
    {"<tr><td>SSN</td><td>219</td><td>-</td><td>45</td><td>-</td><td>6781</td></tr>",
     SP_DETECT_US_SSN, true},
    {"<p>SSN: &#50;&#x31;&#57;&#8209;45&ndash;67&#8203;81</p>", SP_DETECT_US_SSN, true},
    {"<td>MBI</td><td>1EG4</td><td>TE5</td><td>MK73</td>", SP_DETECT_MBI, true},
};

START_TEST(a_number_is_not_made_of_what_is_none)
{
    struct sp_detect_result r;

    begin();
    sp_detect_text(detect, sp_bytes_cstr(texts[_i].text), NULL, arena, &r);
    ck_assert_msg((r.types[texts[_i].type].count > 0) == texts[_i].found, "%s", texts[_i].text);
    end();
}
END_TEST

static const struct {
    const char *text;
    const char *plain;
} same[] = {
    /* a word processor's apostrophe; a letter and its accent apart */
    {"Kowalski\u2019s biopsy is benign", "Kowalski's biopsy is benign"},
    {"Jon\u2019s insulin ran out", "Jon's insulin ran out"},
    /* ends of lines that a program wrote twice */
    {"Ann Lee was found to have\r\r\nlupus, and on\r\r\nMonday",
     "Ann Lee was found to have\nlupus, and on\nMonday"},
    {"Ann Lee was found to have\r\nlupus", "Ann Lee was found to have\nlupus"},
    {"Ann Lee\r\rlupus", "Ann Lee\n\nlupus"},
    {"Ann Lee\r\n\r\nlupus", "Ann Lee\n\nlupus"},
    {"Jose\u0301 Mun\u0303oz has lupus", "Jose Munoz has lupus"},
};

START_TEST(signs_that_look_the_same_are_the_same)
{
    struct sp_detect_result r, plain;

    begin();
    sp_detect_text(detect, sp_bytes_cstr(same[_i].text), NULL, arena, &r);
    sp_detect_text(detect, sp_bytes_cstr(same[_i].plain), NULL, arena, &plain);
    ck_assert_msg(r.class == plain.class && r.score == plain.score, "%s: %u, not %u", same[_i].text,
                  r.score, plain.score);
    end();
}
END_TEST

static void add(TCase *c)
{
    tcase_add_loop_test(c, an_awkward_number_is_found_where_it_stands, 0, SP_ARRAY_LEN(awkward));
    tcase_add_loop_test(c, a_number_is_not_made_of_what_is_none, 0, SP_ARRAY_LEN(texts));
    tcase_add_loop_test(c, signs_that_look_the_same_are_the_same, 0, SP_ARRAY_LEN(same));
}

SP_TEST_MAIN("detect.awkward", add)
