#include "kernels/cpu/panel.h"

panel_function *panel_multiply(void)
{
    return __builtin_cpu_supports("avx512f") ? panel_avx512 : panel_avx2;
}
