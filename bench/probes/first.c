/* The empty workload: prints the time of its start, in nanoseconds of CLOCK_MONOTONIC, and exits. */
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	printf("%lld\n", time.tv_sec * 1000000000LL + time.tv_nsec);
	return 0;
}
