module alu8 (
  input  logic [7:0] a,
  input  logic [7:0] b,
  input  logic [2:0] operation,
  output logic [7:0] result,
  output logic       zero,
  output logic       negative,
  output logic       carry,
  output logic       overflow
);
  logic [8:0] sum, difference;
  logic plus_overflow, minus_overflow;

  assign sum            = {1'b0, a} + {1'b0, b};
  assign difference     = {1'b0, a} + {1'b0, ~b} + 9'd1;
  assign plus_overflow  = a[7] == b[7] && sum[7] != a[7];
  assign minus_overflow = a[7] != b[7] && difference[7] != a[7];

  always_comb begin
    carry = 1'b0;
    overflow = 1'b0;
    case (operation)
      3'd0: begin
        result = sum[7:0];
        carry = sum[8];
        overflow = plus_overflow;
      end
      3'd1: begin
        result = difference[7:0];
        carry = difference[8];  // carry of a + ~b + 1
        overflow = minus_overflow;
      end
      3'd2: result = a & b;
      3'd3: result = a | b;
      3'd4: result = a ^ b;
      3'd5: result = {7'd0, difference[7] ^ minus_overflow};
      3'd6: result = {7'd0, !difference[8]};
      default: result = b;
    endcase
  end

  assign zero     = result == 8'd0;
  assign negative = result[7];
endmodule
