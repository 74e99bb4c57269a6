/* The empty workload: what its run costs is the cost of what runs it. */
int main(void) { return 0; }
