module return_stack (
  input  logic        clk,
  input  logic        rst,
  input  logic        push,
  input  logic        pop,
  input  logic [15:0] push_data,
  output logic [15:0] top_data,
  output logic [2:0]  depth
);
  // the top is entries[0]
  logic [15:0] entries[0:3];

  always_ff @(posedge clk) begin
    if (rst) begin
      depth <= 3'd0;
    end else if (push && !pop) begin
      entries[0] <= push_data;
      for (int i = 1; i < 4; i++) entries[i] <= entries[i-1];
      if (depth != 3'd4) depth <= depth + 3'd1;
    end else if (push) begin
      entries[0] <= push_data;
      if (depth == 3'd0) depth <= 3'd1;
    end else if (pop && depth != 3'd0) begin
      for (int i = 0; i < 3; i++) entries[i] <= entries[i+1];
      depth <= depth - 3'd1;
    end
  end

  assign top_data = depth == 3'd0 ? 16'd0 : entries[0];
endmodule
