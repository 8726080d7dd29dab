module lru_order (
  input  logic       clk,
  input  logic       rst,
  input  logic       used,
  input  logic [1:0] way,
  input  logic       lock,
  input  logic [1:0] locked_way,
  output logic [1:0] victim,
  output logic [1:0] newest
);
  // the ways from the least to the most recently used
  logic [1:0] oldest, second, third;

  always_ff @(posedge clk) begin
    if (rst) begin
      oldest <= 2'd0;
      second <= 2'd1;
      third  <= 2'd2;
      newest <= 2'd3;
    end else if (used) begin
      // the ways that were used after this one move one position towards the oldest
      if (way == oldest) oldest <= second;
      if (way == oldest || way == second) second <= third;
      if (way != newest) third <= newest;
      newest <= way;
    end
  end

  assign victim = lock && oldest == locked_way ? second : oldest;
endmodule
