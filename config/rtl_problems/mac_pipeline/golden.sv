module mac_pipeline (
  input  logic               clk,
  input  logic               rst,
  input  logic               in_valid,
  input  logic               first,
  input  logic signed [7:0]  a,
  input  logic signed [7:0]  b,
  output logic               out_valid,
  output logic signed [19:0] total
);
  logic signed [15:0] product;
  logic signed [19:0] extended;
  logic               valid_1, first_1;

  assign extended = {{4{product[15]}}, product};

  always_ff @(posedge clk) begin
    product <= 16'(a) * 16'(b);
    first_1 <= first;
    valid_1 <= in_valid && !rst;
    if (rst) begin
      out_valid <= 1'b0;
      total     <= 20'sd0;
    end else begin
      out_valid <= valid_1;
      if (valid_1) total <= first_1 ? extended : total + extended;
    end
  end
endmodule
