module gray_counter (
  input  logic       clk,
  input  logic       rst_n,
  input  logic       enable,
  input  logic       down,
  output logic [4:0] gray,
  output logic       at_zero
);
  logic [4:0] position, next;

  assign next    = down ? position - 5'd1 : position + 5'd1;
  assign at_zero = position == 5'd0;

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      position <= 5'd0;
      gray     <= 5'd0;
    end else if (enable) begin
      position <= next;
      gray     <= next ^ (next >> 1);
    end
  end
endmodule
