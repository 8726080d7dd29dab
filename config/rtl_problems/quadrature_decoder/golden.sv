module quadrature_decoder (
  input  logic              clk,
  input  logic              rst,
  input  logic              a,
  input  logic              b,
  output logic signed [7:0] position,
  output logic              error
);
  logic before_a, before_b, a_moved, b_moved;

  assign a_moved = a ^ before_a;
  assign b_moved = b ^ before_b;

  always_ff @(posedge clk) begin
    before_a <= a;
    before_b <= b;
    if (rst) begin
      position <= 8'sd0;
      error    <= 1'b0;
    end else begin
      error <= error || (a_moved && b_moved);
      if (a_moved ^ b_moved) position <= position + (a ^ before_b ? 8'sd1 : -8'sd1);
    end
  end
endmodule
