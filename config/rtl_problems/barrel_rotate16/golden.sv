module barrel_rotate16 (
  input  logic [15:0] data_in,
  input  logic [3:0]  amount,
  input  logic        right,
  input  logic [1:0]  operation,
  output logic [15:0] data_out
);
  logic [15:0] amount_16, to_the_left, rotated, mask, kept, fill;

  // a rotation to the right by n is one to the left by 16 - n
  assign amount_16   = {12'd0, amount};
  assign to_the_left = (right ? 16'd0 - amount_16 : amount_16) & 16'd15;
  assign rotated     = (data_in << to_the_left) | (data_in >> (16'd16 - to_the_left));

  // ones where a shift keeps bits of the input
  assign mask     = right ? 16'hffff >> amount : 16'hffff << amount;
  assign fill     = (operation == 2'd2 && right) ? {16{data_in[15]}} : 16'd0;
  assign kept     = (rotated & mask) | (fill & ~mask);
  assign data_out = operation == 2'd3 ? data_in : operation == 2'd0 ? rotated : kept;
endmodule
