module crc8 (
  input  logic       clk,
  input  logic       rst,
  input  logic       clear,
  input  logic       valid,
  input  logic [7:0] data,
  output logic [7:0] crc
);
  function automatic logic [7:0] step(input logic [7:0] old, input logic [7:0] bits);
    step = old;
    for (int i = 0; i < 8; i++) begin
      step = (step << 1) ^ (step[7] ^ bits[7 - i] ? 8'h07 : 8'h00);
    end
  endfunction

  always_ff @(posedge clk) begin
    if (rst) crc <= 8'd0;
    else crc <= valid ? step(clear ? 8'd0 : crc, data) : clear ? 8'd0 : crc;
  end
endmodule
