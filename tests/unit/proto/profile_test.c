#include "proto/profile.h"

#include "../unit.h"

#include <string.h>

static const char FIRST[] = "{\"isa\": \"avx512_core\", \"onednn\": \"2.6.3\", \"shards\": 4}";

static void expect(enum cam_code wanted, const char *text, enum cam_code rc,
                   const struct cam_err *err)
{
    assert_int_equal(wanted, rc);
    if (wanted != CAM_OK) {
        assert_string_equal(text, err->text);
    }
}

static void equal_profiles(void **state)
{
    (void)state;
    struct cam_err err = {0};
    expect(CAM_OK, "",
           profile_compare("here", FIRST, "the first attempt",
                           "{\"shards\": 4, \"onednn\": \"2.6.3\", \"isa\": \"avx512_core\"}",
                           &err),
           &err);
}

static void what_differs_is_named(void **state)
{
    (void)state;
    struct cam_err err = {0};
    expect(CAM_OTHER_PROFILE,
           "instruction set avx2 on rank 1, rank 0 used avx512_core; "
           "oneDNN 3.7.0 on rank 1, rank 0 used 2.6.3",
           profile_compare("on rank 1", "{\"isa\": \"avx2\", \"onednn\": \"3.7.0\", \"shards\": 4}",
                           "rank 0", FIRST, &err),
           &err);
    expect(CAM_OTHER_PROFILE, "shards 8 here, the first attempt used 4",
           profile_compare("here",
                           "{\"isa\": \"avx512_core\", \"onednn\": \"2.6.3\", \"shards\": 8}",
                           "the first attempt", FIRST, &err),
           &err);
    expect(CAM_OTHER_PROFILE,
           "a 1 here, the first attempt used none; b 2 here, the first attempt used none; c 3 "
           "here, the first attempt used none; and 1 more",
           profile_compare_host("{\"a\": 1, \"b\": 2, \"c\": 3}", "{\"d\": 4}", &err), &err);
}

/* A host knows no job: what the job file decides is not compared. */
static void a_host_is_asked_without_a_job(void **state)
{
    (void)state;
    struct cam_err err = {0};
    expect(CAM_OK, "",
           profile_compare_host("{\"onednn\": \"2.6.3\", \"isa\": \"avx512_core\", "
                                "\"threads_per_shard\": 1}",
                                FIRST, &err),
           &err);
    expect(CAM_OTHER_PROFILE, "test none here, the first attempt used x",
           profile_compare_host("{\"onednn\": \"2.6.3\"}",
                                "{\"onednn\": \"2.6.3\", \"test\": \"x\"}", &err),
           &err);
}

static void what_is_no_profile(void **state)
{
    (void)state;
    struct cam_err err = {0};
    assert_int_equal(CAM_CORRUPT, profile_compare_host("", FIRST, &err));
    assert_int_equal(CAM_CORRUPT, profile_compare_host("[1]", FIRST, &err));
    assert_int_equal(CAM_CORRUPT, profile_compare_host(FIRST, "nothing", &err));
    assert_non_null(strstr(err.text, "no JSON"));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(equal_profiles),
        cmocka_unit_test(what_differs_is_named),
        cmocka_unit_test(a_host_is_asked_without_a_job),
        cmocka_unit_test(what_is_no_profile),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
