module lfsr16 (
  input  logic        clk,
  input  logic        rst,
  input  logic        load,
  input  logic [15:0] seed,
  input  logic        enable,
  output logic [15:0] state,
  output logic        bit_out
);
  always_ff @(posedge clk) begin
    if (rst) state <= 16'd1;
    else if (load) state <= seed == 16'd0 ? 16'd1 : seed;
    else if (enable) state <= (state >> 1) ^ (state[0] ? 16'hb400 : 16'h0000);
  end

  assign bit_out = state[0];
endmodule
