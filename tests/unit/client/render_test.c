/* How values look. */
#include "../unit.h"

#include "client/render.h"
#include "client/screen.h"

#include <stdio.h>
#include <string.h>

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } CASES[] = {{0, "0.0s"},    {9.94, "9.9s"},    {59.4, "59s"},   {59.6, "1m00s"},
                 {200, "3m20s"}, {3599.7, "1h00m"}, {7500, "2h05m"}, {273600, "3d04h"},
                 {-1, "-"},      {1e300, "-"}};
    char text[RENDER_SIZE];
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_string_equal(render_duration(CASES[i].seconds, text), CASES[i].text);
    }
    assert_string_equal(render_duration(__builtin_nan(""), text), "-");
}

static void test_numbers(void **state)
{
    (void)state;
    char text[RENDER_SIZE];
    assert_string_equal(render_count(0, text), "0");
    assert_string_equal(render_count(999, text), "999");
    assert_string_equal(render_count(1234567, text), "1,234,567");
    assert_string_equal(render_count(-123456, text), "-123,456");
    assert_string_equal(render_count(INT64_MIN, text), "-9,223,372,036,854,775,808");
    assert_string_equal(render_bytes(1023, text), "1023 B");
    assert_string_equal(render_bytes(1536, text), "1.50 KiB");
    assert_string_equal(render_bytes(INT64_C(312) << 20, text), "312 MiB");
    assert_string_equal(render_rate(10.3e9, text), "10.3 G");
    assert_string_equal(render_loss(0.69314718, text), "0.6931");
    assert_string_equal(render_loss(12345.678, text), "12345.7");
    assert_string_equal(render_loss(__builtin_nan(""), text), "nan");
    assert_string_equal(render_time(0, text), "-");
    assert_string_equal(render_time(1700000000007, text), "2023-11-14T22:13:20.007Z");
}

static void check_bar(double share, bool unicode, const char *expected)
{
    struct cam_text text = {0};
    render_bar(&text, share, 4, unicode);
    assert_string_equal(text.bytes, expected);
    cam_text_release(&text);
}

static void test_bars(void **state)
{
    (void)state;
    check_bar(0, false, "....");
    check_bar(0.5, false, "##..");
    check_bar(7, false, "####");
    check_bar(__builtin_nan(""), false, "....");
    check_bar(0.625, true, "██▌░");
    check_bar(1, true, "████");
}

static void test_curves(void **state)
{
    (void)state;
    static const double VALUES[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct cam_text text = {0};
    render_curve(&text, VALUES, 8, 8, true);
    assert_string_equal(text.bytes, "▁▂▃▄▅▆▇█");
    cam_text_release(&text);
    render_curve(&text, VALUES, 8, 2, false);
    assert_int_equal(render_width(text.bytes), 2);
    cam_text_release(&text);
    const double broken[] = {1, __builtin_nan(""), 2};
    render_curve(&text, broken, 3, 8, false);
    assert_string_equal(text.bytes, "_!#");
    cam_text_release(&text);
    render_curve(&text, broken + 1, 1, 8, false);
    assert_null(text.bytes);
}

static void test_tables_line_up(void **state)
{
    (void)state;
    static const struct render_column COLUMNS[] = {{"ID", true}, {"NAME", false}, {"", false}};
    static const char *const CELLS[] = {"1", "größe", "x", "234", "b", ""};
    struct cam_text text = {0};
    render_table(&text, COLUMNS, 3, CELLS, 2);
    assert_string_equal(text.bytes, " ID  NAME   \n  1  größe  x\n234  b      \n");
    cam_text_release(&text);
}

/* A long job must not grow the picture: the past is thinned out. */
static void test_the_past_is_thinned_out(void **state)
{
    (void)state;
    struct screen screen;
    struct cam_text out = {0};
    Cam__Metric metric = CAM__METRIC__INIT;
    char name[] = "d_loss";
    metric.name = name;
    Cam__Metric *metrics[] = {&metric};
    Cam__Job job = CAM__JOB__INIT;
    char text[] = "a very long name of a job that is wider than any terminal ought to be, surely";
    job.name = text;
    job.metrics = metrics;
    job.n_metrics = 1;
    job.epochs = 2;
    job.eta_s = -1;
    job.steps_per_epoch = 5000;
    screen_init(&screen, 40, true);
    for (int i = 0; i < 10000; i++) {
        job.step = i;
        metric.value = i;
        screen_take(&screen, &job);
    }
    const struct screen_history *past = &screen.metrics[0];
    assert_in_range(past->count, SCREEN_HISTORY_MAX / 2 - 1, SCREEN_HISTORY_MAX);
    for (size_t i = 1; i < past->count; i++) {
        assert_true(past->values[i] > past->values[i - 1]);
    }
    screen_draw(&screen, &job, &out);
    assert_int_equal(screen.lines, 3);
    for (char *line = strtok(out.bytes, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(render_width(line) <= 39 + strlen("\033[K"));
    }
    cam_text_release(&out);
    screen_erase(&screen, &out);
    assert_string_equal(out.bytes, "\r\033[3A\033[J");
    assert_int_equal(screen.lines, 0);
    cam_text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),      cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bars),           cmocka_unit_test(test_curves),
        cmocka_unit_test(test_tables_line_up), cmocka_unit_test(test_the_past_is_thinned_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
