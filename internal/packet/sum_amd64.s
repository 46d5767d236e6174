#include "textflag.h"

// func sumWide(b []byte) uint64
//
// Words of 32 bits are added into lanes of 64, even and odd ones apart: no carry can be lost, and four additions go on at
// once. The length is a multiple of 64, and not 0.
TEXT ·sumWide(SB), NOSPLIT, $0-32
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPCMPEQD Y9, Y9, Y9
	VPSRLQ $32, Y9, Y9 // the lower half of each lane

loop:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VPAND Y9, Y4, Y6
	VPAND Y9, Y5, Y7
	VPSRLQ $32, Y4, Y4
	VPSRLQ $32, Y5, Y5
	VPADDQ Y6, Y0, Y0
	VPADDQ Y4, Y1, Y1
	VPADDQ Y7, Y2, Y2
	VPADDQ Y5, Y3, Y3
	ADDQ $64, SI
	SUBQ $64, CX
	JNZ loop

	VPADDQ Y1, Y0, Y0
	VPADDQ Y3, Y2, Y2
	VPADDQ Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDQ X1, X0, X0
	VPSRLDQ $8, X0, X1
	VPADDQ X1, X0, X0
	VMOVQ X0, AX
	VZEROUPPER
	MOVQ AX, ret+24(FP)
	RET
