/* Check digits and shapes, as the detector's texts see them: what is one is found, what is none is not. */
#include "base/buf.h"
#include "detect/detect.h"
#include "support/check_main.h"

static const struct {
    const char *text;
    enum sp_detect_type type;
    bool found;
} values[] = {
    {"SSN 219-45-6781", SP_DETECT_US_SSN, true},
    {"SSN 2 1 9 - 4 5 - 6 7 8 1", SP_DETECT_US_SSN, true},
    {"SSN 219.45.6781", SP_DETECT_US_SSN, true},
    {"SSN 219-45-\n6781", SP_DETECT_US_SSN, true},
    {"SSN 219-4=\n5-6781", SP_DETECT_US_SSN, true}, /* quoted-printable, not undone */
    {"SSN 219\xc2\xad-45-6781", SP_DETECT_US_SSN, true},
    {"SSN 219\xc2\xa0"
     "45\xc2\xa0"
     "6781",
     SP_DETECT_US_SSN, true},
    {"219-45-6781 (SSN)", SP_DETECT_US_SSN, true},
    {"SSN 111-11-1111", SP_DETECT_US_SSN, false},
    {"order 219-45-6781", SP_DETECT_US_SSN, false},
    {"SSN 900-70-1234", SP_DETECT_US_SSN, true}, /* an ITIN */
    {"ITIN 912-78-3456", SP_DETECT_US_SSN, true},
    {"ITIN 912-49-3456", SP_DETECT_US_SSN, false},
    {"SSN 987-65-4321", SP_DETECT_US_SSN, false},
    {"SSN (last 4): 6781", SP_DETECT_US_SSN, true},
    {"last four of her SSN is 6781", SP_DETECT_US_SSN, true},
    {"SSN xxx-xx-6781", SP_DETECT_US_SSN, true},
    {"it is ***-**-6781", SP_DETECT_US_SSN, true},
    {"it is xx-xx-6781", SP_DETECT_US_SSN, false},
    {"card ending in 6781", SP_DETECT_US_SSN, false},
    {"in 2024", SP_DETECT_US_SSN, false},
    {"a 93-year-old woman", SP_DETECT_DATE, true},
    {"93 y/o", SP_DETECT_DATE, true},
    {"she is 101 years old", SP_DETECT_DATE, true},
    {"Age: 94", SP_DETECT_DATE, true},
    {"a 90yo man", SP_DETECT_DATE, true},
    {"an 89-year-old woman", SP_DETECT_DATE, false}, /* may be said */
    {"92 tablets", SP_DETECT_DATE, false},
    {"page 94", SP_DETECT_DATE, false},
    {"NPI 1679576722", SP_DETECT_NPI, true},
    {"1679576722 is our NPI", SP_DETECT_NPI, true},
    {"NPI 1679576723", SP_DETECT_NPI, false},
    {"1679576722", SP_DETECT_NPI, false}, /* any number of ten digits */
    {"DEA AB1234563", SP_DETECT_DEA, true},
    {"DEA AB1234564", SP_DETECT_DEA, false},
    {"card 4539 1488 0343 6467", SP_DETECT_CREDIT_CARD, true},
    {"card 4539 1488 0343 6468", SP_DETECT_CREDIT_CARD, false},
    {"tracking 4539148803436467", SP_DETECT_CREDIT_CARD, false},
    {"VIN 1HGCM82633A004352", SP_DETECT_VIN, true},
    {"VIN 1HGCM82643A004352", SP_DETECT_VIN, false},
    {"MBI 1EG4 TE5 MK73", SP_DETECT_MBI, true},
    {"(01)00844588003288(17)141120(10)7654321D", SP_DETECT_UDI, true},
    {"(01)00844588003289(17)141120(10)7654321D", SP_DETECT_UDI, false},
    {"IBAN DE89 3704 0044 0532 0130 00", SP_DETECT_ACCOUNT, true},
    {"IBAN DE88 3704 0044 0532 0130 00", SP_DETECT_CREDIT_CARD, false},
    {"routing number 021000021", SP_DETECT_ACCOUNT, true},
    {"LOINC 2345-7", SP_DETECT_LAB, true},
    {"LOINC 2345-8", SP_DETECT_LAB, false},
    /* headings: named at the end of the line alone, by programs, and lines that end with CR */
    {"ID|DOB|SSN\nW1|1980-01-02|219456781", SP_DETECT_US_SSN, true},
    {"A,B,C,DOB,SSN\nW1,x,y,1980-01-02,219456781", SP_DETECT_DOB, true},
    {"PatientLastName,DateOfBirth,MedicalRecordNumber\nBrandt,1980-01-02,4482910", SP_DETECT_MRN,
     true},
    {"PatientLastName,DateOfBirth,MedicalRecordNumber\nBrandt,1980-01-02,4482910", SP_DETECT_PERSON,
     true},
    {"pat_last_nm,pat_mrn\nBrandt,4482910", SP_DETECT_PERSON, true},
    {"{\"patientName\":\"Maria Gonzalez\",\"medicalRecordNumber\":\"4482910\"}", SP_DETECT_MRN,
     true},
    {"MSH|^~\\&|LAB\rPID|1||4482910^^^HOSP^MR||BRANDT^ZOE||19800102\rPV1|1", SP_DETECT_DOB, true},
    {"MSH|^~\\&|LAB\r\nPID|1||4482910^^^HOSP^MR||BRANDT^ZOE||19800102\r\n", SP_DETECT_MRN, true},
    {"{\"system\": \"http://snomed.info/sct\", \"code\": \"44054006\"}", SP_DETECT_DIAGNOSIS, true},
    {"SNOMED CT 73211009", SP_DETECT_DIAGNOSIS, true},
    {"SNOMED: 44054006", SP_DETECT_DIAGNOSIS, true},
    {"dx code 161891000119108", SP_DETECT_DIAGNOSIS, false}, /* a wrong digit */
    {"SNOMED 900000000000207008", SP_DETECT_DIAGNOSIS, true},
    {"{\"system\":\"http://snomed.info/sct\",\"code\":\"44054006\"}", SP_DETECT_DIAGNOSIS, true},
    {"SNOMED 73211008", SP_DETECT_DIAGNOSIS, false}, /* two digits changed, or one */
    {"SNOMED 72311009", SP_DETECT_DIAGNOSIS, false},
    {"order 73211009", SP_DETECT_DIAGNOSIS, false},
    {"HICN: 219-45-6781A", SP_DETECT_HEALTH_PLAN_ID, true},
    {"Medicare claim number 219456781C1", SP_DETECT_HEALTH_PLAN_ID, true},
    {"Medicare number WA123456", SP_DETECT_HEALTH_PLAN_ID, true},
    {"railroad medicare MA219456781", SP_DETECT_HEALTH_PLAN_ID, true},
    {"SSN 219-45-6781D", SP_DETECT_HEALTH_PLAN_ID, true},
    {"Patient's insurance card says 219-45-6781A", SP_DETECT_HEALTH_PLAN_ID, true},
    {"replacement part 219-45-6781A", SP_DETECT_HEALTH_PLAN_ID, false},
    {"bolts 219-45-6781A are out", SP_DETECT_HEALTH_PLAN_ID, false},
    {"Patient's lot 219-45-6781Z", SP_DETECT_HEALTH_PLAN_ID, false}, /* no beneficiary's letter */
    {"SSN 666-45-6781A", SP_DETECT_HEALTH_PLAN_ID, false},
    {"dx code E11.9", SP_DETECT_ICD10, true},
    {"NDC 0002-8215-01", SP_DETECT_DRUG, true},
    {"license plate 7ABC123", SP_DETECT_LICENSE_PLATE, true},
    {"Admitted: 01/03/2024", SP_DETECT_ADMISSION_DATE, true},
    {"Discharged 3 Jan 2024", SP_DETECT_DISCHARGE_DATE, true},
    {"mail j.doe@example.com.", SP_DETECT_EMAIL, true},
    {"at 192.168.4.20 now", SP_DETECT_IP, true},
    {"version 1.2.3.400", SP_DETECT_IP, false},
    {"from 2001:db8:85a3::8a2e:370:7334.", SP_DETECT_IP, true},
    {"from 2a02:2f0a:0:0:0:0:0:17 today", SP_DETECT_IP, true},
    {"from 2a02:2f0a:0:0:0:0:0:17 ........................................ 4", SP_DETECT_IP, true},
    {"from 2001:db8:85a3::8a2e:370:7334........................ see there", SP_DETECT_IP, true},
    {"from ::ffff:192.168.4.20.", SP_DETECT_IP, true},
    {"at 12:30:45", SP_DETECT_IP, false},
    {"Medicare 5N01-AD7-\nJE48", SP_DETECT_MBI, true},
    {"3TJ1- TF7- JY16 from the card", SP_DETECT_MBI, true},
    {"HICN/MBI 5T11AG5NQ47 - FST INIT L", SP_DETECT_MBI, true},
    {"ward 5 N01 - AD7 is full", SP_DETECT_MBI, false},
    {"2 1 9\n- 4 5 -\n6 7 8 1", SP_DETECT_US_SSN, true},
    {"2 1 9 4 5 6 - 7 8 - 1", SP_DETECT_US_SSN, false},
    {"Member HZN 440 21 8873", SP_DETECT_US_SSN, false},
    {"SSN 440 21 8873", SP_DETECT_US_SSN, true},
    {"Replacement part 453-56-8291", SP_DETECT_US_SSN, false},
    {"Ms. Lee, last four x-4402", SP_DETECT_US_SSN, true},
    {"Skip Rasmussen last 4 9606", SP_DETECT_US_SSN, true},
    {"the Visa card, last four 9606", SP_DETECT_US_SSN, false},
    {"mask the SSN as xxx-xx-0000", SP_DETECT_US_SSN, false},
    {"Lee, Ann, PA-C, 1679576722", SP_DETECT_NPI, true},
    {"Ann Lee, MD\nDermatology\n1679576722", SP_DETECT_NPI, true},
    {"NPIs: 1234567893 Lee, PT; 1679576722 Stokes & Sons", SP_DETECT_NPI, true},
    {"order of 1679576722 pieces", SP_DETECT_NPI, false},
    {"filled Adderall from FM9598319 again", SP_DETECT_DEA, true},
    {"PO box 77. Same card 4451326105712850.", SP_DETECT_CREDIT_CARD, true},
    {"phone order, 4451326105712850, cvv given", SP_DETECT_CREDIT_CARD, true},
    {"order 4451326105712850 has shipped", SP_DETECT_CREDIT_CARD, false},
    {"00:11:22:33:44:55:66:77", SP_DETECT_IP, false}, /* pairs: another machine's number */
    {"2001:db8:85a3:8a2e:370:7334:1", SP_DETECT_IP, false},
    {"key 2001:db8:85a3::8a2e:370:7334:9:9:9", SP_DETECT_IP, false},
    {"lives at 88 Maple Street, Dayton, OH 45402", SP_DETECT_ADDRESS, true},
    {"lives at 88 Maple Street, Dayton, OH 45402", SP_DETECT_ZIP, true},
    {"fax 312-555-0188", SP_DETECT_FAX, true},
    {"IMEI 490154203237518", SP_DETECT_DEVICE_ID, true},
};

START_TEST(a_value_is_one_or_is_none)
{
    struct sp_err err = {0};
    SP_AUTO(sp_detect) detect = NULL;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_detect_result r;

    ck_assert_msg(sp_detect_new(&detect, &err) == SP_OK, "%s", err.text);
    sp_detect_text(detect, sp_bytes_cstr(values[_i].text), NULL, arena, &r);
    ck_assert_msg((r.types[values[_i].type].count > 0) == values[_i].found, "%s", values[_i].text);
}
END_TEST

START_TEST(a_place_is_counted_in_code_points_of_the_text)
{
    struct sp_err err = {0};
    SP_AUTO(sp_detect) detect = NULL;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_detect_limits limits = {.findings = true};
    struct sp_detect_result r;

    ck_assert(sp_detect_new(&detect, &err) == SP_OK);
    /* an umlaut, an emoji, a line end, a zero-width space inside the number */
    sp_detect_text(detect, SP_LIT("\xc3\xbc \xf0\x9f\x98\x80\nSSN 219\xe2\x80\x8b-45-6781, lupus"),
                   &limits, arena, &r);
    ck_assert_uint_eq(r.finding_count, 2);
    ck_assert_int_eq(r.findings[0].type, SP_DETECT_US_SSN);
    ck_assert_uint_eq(r.findings[0].start, 8);
    ck_assert_uint_eq(r.findings[0].end, 20);
    ck_assert_uint_eq(r.findings[1].start, 22);
}
END_TEST

static const struct {
    const char *text;
    bool phi;
} verdicts[] = {
    {"Can you move John Smith's chemo to Tuesday?", true},
    {"can you move john smith's chemo to tuesday?", true},
    {"Dr. Smith will present on chemo on Tuesday.", false},
    {"The John Smith Foundation funds cancer research.", false},
    {"Bella (canine) needs her rabies vaccine. Owner: John Smith", false},
    /* a clinician's own number, and what he treats */
    {"Dr. Lee's NPI is 1234567893, she treats lupus", false},
    {"NPI 1234567893: Ann Lee, treats lupus and arthritis", false},
    {"Dr. Lee, DEA BL1234563, prescribes Suboxone for opioid use disorder.", false},
    {"Her NPI is 1234567893. She treats lupus.", false},
    {"Dr. Lee's cell is 312-555-0123, she treats lupus", false},
    {"Dr. Lee's NPI is 1234567893, she treats Tom for lupus", true},
    {"Dr. Lee's NPI is 1234567893, she treats lupus. Jon has lupus.", true},
    {"Dr. Lee's NPI is 1234567893; her patient Maria Gomez has lupus", true},
    {"Maria Gomez, who treats with Dr. Lee, has lupus", true},
    {"Maria Gomez treats her asthma with albuterol", true},
    {"NPI 1234567893, MRN 4482910, treats lupus", true},
    {"Hi Robert, your colonoscopy is scheduled for March 4.", true},
    {"Hi Robert, the colonoscopy suite is closed on March 4.", false},
    {"Name,MRN,Diagnosis\nJane Roe,4493021,asthma", true},
    {"Name,Ext,Department\nJane Roe,4493,Cardiology", false},
    {"<table><tr><th>Patient</th><th>Dx</th></tr><tr><td>Ana Diaz</td><td>lupus</td></tr></table>",
     true},
};

START_TEST(phi_is_a_person_and_his_health)
{
    struct sp_err err = {0};
    SP_AUTO(sp_detect) detect = NULL;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_detect_result r;

    ck_assert(sp_detect_new(&detect, &err) == SP_OK);
    sp_detect_text(detect, sp_bytes_cstr(verdicts[_i].text), NULL, arena, &r);
    ck_assert_msg((r.class >= SP_DETECT_PHI) == verdicts[_i].phi, "%s: class %d, score %u",
                  verdicts[_i].text, (int)r.class, r.score);
}
END_TEST

/* A digest of many mails: what counts against one of them says nothing of another. */
START_TEST(one_mail_in_a_digest_is_judged_by_itself)
{
    struct sp_err err = {0};
    SP_AUTO(sp_detect) detect = NULL;
    SP_AUTO(sp_arena) arena = sp_arena_new(4096);
    struct sp_detect_result r;
    struct sp_buf b;

    ck_assert(sp_detect_new(&detect, &err) == SP_OK);
    sp_buf_init(&b, 1 << 20);
    for (int i = 0; i < 300; i++)
        sp_buf_put_cstr(&b, "Newsletter: unsubscribe here. The dog, the cat and their owner.\n\n");
    for (int i = 0; i < 200; i++)
        sp_buf_put_cstr(&b, "The meeting is at ten in the small hall, bring your notes.\n\n");
    sp_buf_put_cstr(&b, "John Smith was admitted with pneumonia.\n");
    sp_detect_text(detect, sp_buf_bytes(&b), NULL, arena, &r);
    ck_assert_int_ge(r.class, SP_DETECT_PHI);
    sp_buf_clear(&b);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, one_mail_in_a_digest_is_judged_by_itself);
    tcase_add_loop_test(c, a_value_is_one_or_is_none, 0, SP_ARRAY_LEN(values));
    tcase_add_test(c, a_place_is_counted_in_code_points_of_the_text);
    tcase_add_loop_test(c, phi_is_a_person_and_his_health, 0, SP_ARRAY_LEN(verdicts));
}

SP_TEST_MAIN("detect.value", add)
