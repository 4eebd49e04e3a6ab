/* What is printed of a trace (traces.py): nothing, unless it is one. */
#ifdef TRACE
#define say1(f, a) printf(f, a)
#define say2(f, a, b) printf(f, a, b)
#define say3(f, a, b, c) printf(f, a, b, c)
#define say4(f, a, b, c, d) printf(f, a, b, c, d)
#define say6(f, a, b, c, d, e, g) printf(f, a, b, c, d, e, g)
#define say8(f, a, b, c, d, e, g, h, i) printf(f, a, b, c, d, e, g, h, i)
#define tell_all() tell(0); tell(1); tell(2)
#else
#define tell_all() skip
#define say1(f, a) skip
#define say2(f, a, b) skip
#define say3(f, a, b, c) skip
#define say4(f, a, b, c, d) skip
#define say6(f, a, b, c, d, e, g) skip
#define say8(f, a, b, c, d, e, g, h, i) skip
#endif
